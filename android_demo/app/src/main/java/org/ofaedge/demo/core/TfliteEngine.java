package org.ofaedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * LiteRT through its C API with the XNNPACK delegate, by the shim `app/src/main/cpp/tflite_jni.c`.
 *
 * <p>Whoever makes the first engine has loaded the two libraries before: the app by name, a test by path.
 */
public final class TfliteEngine implements Engine {
    private final Tensor input;
    private final Tensor output;
    private final ByteBuffer model; // the interpreter reads the weights where they lie
    private final ByteBuffer counts = direct(16); // written by the native side while it opens the model
    private final ByteBuffer in;
    private final ByteBuffer out;
    private final long[] handles = new long[5];
    private long handle; // of the interpreter; 0 once closed

    /** Throws Fault where the runtime cannot read the model. */
    public TfliteEngine(byte[] bytes, int threads) throws Fault {
        model = direct(bytes.length);
        model.put(bytes);
        int status = nativeOpen(model, threads, counts, handles);
        if (status != 0) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "the runtime cannot load it (" + why(status) + ")");
        }
        handle = handles[1];
        try {
            input = tensor(true);
            output = tensor(false);
            input.check("input");
            output.check("output");
            in = direct(input.bytes);
            out = direct(output.bytes);
        } catch (Fault | RuntimeException error) {
            close();
            throw error;
        }
    }

    /** The runtime's version. */
    public static String version() {
        return nativeVersion();
    }

    @Override
    public Tensor input() {
        return input;
    }

    @Override
    public Tensor output() {
        return output;
    }

    @Override
    public void set(float[] values) throws Fault {
        if (values.length != input.count()) {
            throw new Fault(Fault.FAILED, values.length + " values for an input of " + input.count());
        }
        in.clear();
        if (input.type == Tensor.FLOAT32) {
            in.asFloatBuffer().put(values);
        } else {
            byte[] stored = new byte[values.length];
            for (int i = 0; i < stored.length; i++) {
                stored[i] = input.quantise(values[i]);
            }
            in.put(stored);
        }
        check(nativeSet(open(), in), "set the input");
    }

    @Override
    public long invoke() throws Fault {
        long at = open();
        long start = System.nanoTime();
        int status = nativeInvoke(at);
        long nanos = System.nanoTime() - start;
        check(status, "run");
        return nanos;
    }

    @Override
    public float[] get() throws Fault {
        check(nativeGet(open(), out), "read the output");
        out.clear();
        float[] values = new float[output.count()];
        for (int i = 0; i < values.length; i++) {
            values[i] = output.type == Tensor.FLOAT32 ? out.getFloat() : output.dequantise(out.get());
        }
        return values;
    }

    @Override
    public void close() {
        if (handle != 0) {
            handle = 0;
            nativeClose(handles);
        }
    }

    @Override
    public int operators() {
        return counts.getInt(0);
    }

    @Override
    public int undelegatedOperators() {
        return counts.getInt(8) - counts.getInt(12);
    }

    private static String why(int status) {
        String[] reasons = {"", "no direct buffer", "not a TFLite model", "no XNNPACK", "no interpreter for this graph"};
        return status > 0 && status < reasons.length ? reasons[status] : "status " + status;
    }

    private long open() throws Fault {
        if (handle == 0) {
            throw new Fault(Fault.FAILED, "the model was released");
        }
        return handle;
    }

    private Tensor tensor(boolean isInput) throws Fault {
        int[] facts = nativeTensor(handle, isInput);
        if (facts == null || facts.length < 3) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "it has not one input and one output");
        }
        int[] shape = java.util.Arrays.copyOfRange(facts, 3, facts.length);
        return new Tensor(facts[0], shape, facts[1], nativeScale(handle, isInput), facts[2]);
    }

    private static void check(int status, String what) throws Fault {
        if (status != 0) {
            throw new Fault(Fault.FAILED, "the runtime could not " + what + " (status " + status + ")");
        }
    }

    private static ByteBuffer direct(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    private static native String nativeVersion();

    private static native int nativeOpen(ByteBuffer model, int threads, ByteBuffer counts, long[] handles);

    private static native void nativeClose(long[] handles);

    /** Type, bytes, zero point, then the shape; null unless there is one input and one output. */
    private static native int[] nativeTensor(long handle, boolean input);

    private static native float nativeScale(long handle, boolean input);

    private static native int nativeSet(long handle, ByteBuffer values);

    private static native int nativeInvoke(long handle);

    private static native int nativeGet(long handle, ByteBuffer values);

    /** Makes engines of this kind. */
    public static final class Factory implements Engine.Factory {
        @Override
        public Engine open(byte[] model, int threads) throws Fault {
            return new TfliteEngine(model, threads);
        }

        @Override
        public String runtime() {
            return "LiteRT " + version();
        }
    }
}
