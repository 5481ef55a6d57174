package org.ofaedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;

/** A network's logits, image by image. */
public final class Outputs {
    public final int images;
    public final int classes;
    /** [images * classes], row by row. */
    private final float[] logits;

    private Outputs(int images, int classes, float[] logits) {
        this.images = images;
        this.classes = classes;
        this.logits = logits;
    }

    /** Told after each image; says whether to stop. */
    public interface Progress {
        boolean stopAfter(int images, int of);
    }

    /** Runs the first `count` images (0: all); throws Fault (interrupted) where it was stopped. */
    public static Outputs measure(Engine engine, Inputs inputs, int count, Progress progress) throws Fault {
        if (count > inputs.count()) {
            throw new Fault(Fault.BAD_REQUEST, "images is " + count + "; there are " + inputs.count());
        }
        int total = count == 0 ? inputs.count() : count;
        int classes = engine.output().count();
        float[] logits = new float[total * classes];
        for (int i = 0; i < total; i++) {
            engine.set(inputs.at(i));
            engine.invoke();
            System.arraycopy(engine.get(), 0, logits, i * classes, classes);
            if (progress.stopAfter(i + 1, total)) {
                throw new Fault(Fault.INTERRUPTED, "stopped after " + (i + 1) + " of " + total + " images");
            }
        }
        return new Outputs(total, classes, logits);
    }

    /** The logits of one image. */
    public float[] at(int image) {
        return java.util.Arrays.copyOfRange(logits, image * classes, (image + 1) * classes);
    }

    /** Little-endian float32, row by row: what numpy.fromfile reads. */
    public byte[] bytes() {
        ByteBuffer bytes = ByteBuffer.allocate(4 * logits.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(logits);
        return bytes.array();
    }

    Map<String, Object> toJson(String file) {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("images", images);
        json.put("classes", classes);
        json.put("file", file);
        json.put("sha256", Digest.sha256(bytes()));
        return json;
    }
}
