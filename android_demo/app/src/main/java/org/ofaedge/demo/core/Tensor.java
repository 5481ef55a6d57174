package org.ofaedge.demo.core;

import java.util.Arrays;

/** A model's input or output: type, shape, and how real numbers are stored in it. */
public final class Tensor {
    /** TfLiteType, as the C API numbers them (the flatbuffer's numbers are others). */
    public static final int FLOAT32 = 1;
    public static final int UINT8 = 3;
    public static final int INT8 = 9;

    public final int type;
    public final int[] shape;
    public final int bytes;
    public final float scale;
    public final int zeroPoint;

    public Tensor(int type, int[] shape, int bytes, float scale, int zeroPoint) {
        this.type = type;
        this.shape = shape.clone();
        this.bytes = bytes;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    /** Values that it holds. */
    public int count() {
        return type == FLOAT32 ? bytes / 4 : bytes;
    }

    public String typeName() {
        switch (type) {
            case FLOAT32:
                return "float32";
            case UINT8:
                return "uint8";
            case INT8:
                return "int8";
            default:
                return "type " + type;
        }
    }

    /** Refuses a tensor whose values this app cannot read or write. */
    void check(String which) throws Fault {
        if (type != FLOAT32 && type != UINT8 && type != INT8) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "its " + which + " is of " + typeName()
                    + "; float32, int8 and uint8 are understood");
        }
        long count = 1;
        for (int side : shape) {
            count *= side;
        }
        if (shape.length == 0 || count != count() || count < 1 || count > 1 << 28) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "its " + which + " has the shape " + Arrays.toString(shape)
                    + " in " + bytes + " bytes");
        }
        if (type != FLOAT32 && !(scale > 0 && scale < Float.POSITIVE_INFINITY)) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "its " + which + " is of " + typeName() + " without a scale");
        }
    }

    /** One real number as it is stored: `export.tflite.convert.quantise`, half to even in float32, saturated. */
    public byte quantise(float value) {
        float steps = (float) Math.rint(value / scale) + zeroPoint;
        int low = type == INT8 ? -128 : 0;
        return (byte) (int) Math.max(low, Math.min(low + 255, steps));
    }

    /** The inverse, but for rounding. */
    public float dequantise(byte stored) {
        float value = type == INT8 ? stored : stored & 255;
        return (value - (float) zeroPoint) * scale;
    }
}
