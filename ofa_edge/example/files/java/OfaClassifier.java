package org.ofaedge.example;

import android.content.res.AssetManager;
import android.graphics.Bitmap;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Image;
import org.ofaedge.demo.core.Json;
import org.ofaedge.demo.core.Preprocessing;
import org.tensorflow.lite.Interpreter;

/**
 * The classifier of one build of ofa-edge, from the app's assets: the model's file and model.interface.json.
 *
 * <p>Not for several threads at once. The arithmetic from pixels to the input is in org.ofaedge.demo.core.
 */
public final class OfaClassifier implements AutoCloseable {
    /** What the network says of one photo. */
    public static final class Answer {
        /** Number of the class of the highest score. */
        public final int number;
        public final String label;
        /** Of all classes, as the network gives them. */
        public final float[] scores;

        Answer(int number, String label, float[] scores) {
            this.number = number;
            this.label = label;
            this.scores = scores;
        }
    }

    /** One tensor as the file stores it. */
    private static final class Stored {
        final String type;
        final float scale;
        final int zeroPoint;

        Stored(Map<?, ?> tensor) throws Fault {
            type = (String) tensor.get("dtype");
            Map<?, ?> steps = (Map<?, ?>) tensor.get("steps");
            scale = steps == null ? 0 : ((Number) steps.get("scale")).floatValue();
            zeroPoint = steps == null ? 0 : ((Number) steps.get("zero_point")).intValue();
            if (!type.equals("float32") && !type.equals("int8") && !type.equals("uint8")) {
                throw new Fault(Fault.UNSUPPORTED_MODEL, "a tensor of " + type);
            }
        }

        ByteBuffer buffer(int count) {
            int bytes = type.equals("float32") ? 4 * count : count;
            return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
        }

        void put(ByteBuffer buffer, float value) {
            if (type.equals("float32")) {
                buffer.putFloat(value);
                return;
            }
            double steps = Math.rint(value / scale) + zeroPoint;
            int low = type.equals("int8") ? -128 : 0;
            buffer.put((byte) Math.max(low, Math.min(low + 255, steps)));
        }

        float get(ByteBuffer buffer) {
            if (type.equals("float32")) {
                return buffer.getFloat();
            }
            int stored = type.equals("int8") ? buffer.get() : buffer.get() & 255;
            return ((float) stored - zeroPoint) * scale;
        }
    }

    private final Interpreter interpreter;
    private final Preprocessing preprocessing;
    private final Stored input;
    private final Stored output;
    private final String[] labels;
    private final ByteBuffer in;
    private final ByteBuffer out;

    public OfaClassifier(AssetManager assets) throws IOException, Fault {
        String text = new String(read(assets, "model.interface.json"), StandardCharsets.UTF_8);
        Map<?, ?> said = (Map<?, ?>) Json.read(text, Fault.BAD_BUNDLE);
        Map<?, ?> source = (Map<?, ?>) ((List<?>) said.get("inputs")).get(0);
        Map<?, ?> picture = (Map<?, ?>) source.get("picture");
        int size = ((Number) picture.get("height")).intValue();
        if (size != ((Number) picture.get("width")).intValue() || !"crop".equals(picture.get("fit"))) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "an input that is not the middle square of a photo");
        }
        int channels = ((Number) picture.get("channels")).intValue();
        preprocessing = new Preprocessing(size, channels, floats(picture.get("mean")), floats(picture.get("std")));
        input = new Stored(source);
        output = new Stored((Map<?, ?>) ((List<?>) said.get("outputs")).get(0));
        labels = ((List<?>) said.get("labels")).toArray(new String[0]);
        in = input.buffer(size * size * channels);
        out = output.buffer(labels.length);
        byte[] model = read(assets, (String) said.get("file"));
        ByteBuffer mapped = ByteBuffer.allocateDirect(model.length).order(ByteOrder.nativeOrder());
        mapped.put(model);
        interpreter = new Interpreter(mapped);
    }

    /** A photo, upright. */
    public Answer classify(Bitmap bitmap) {
        int width = bitmap.getWidth();
        int height = bitmap.getHeight();
        int[] argb = new int[width * height];
        bitmap.getPixels(argb, 0, width, 0, 0, width, height);
        return classify(Image.ofArgb(height, width, argb));
    }

    /** Any picture, red, green and blue. */
    public Answer classify(Image image) {
        in.rewind();
        for (float value : preprocessing.picture(image)) {
            input.put(in, value);
        }
        in.rewind();
        out.rewind();
        interpreter.run(in, out);
        out.rewind();
        float[] scores = new float[labels.length];
        int best = 0;
        for (int i = 0; i < scores.length; i++) {
            scores[i] = output.get(out);
            best = scores[i] > scores[best] ? i : best;
        }
        return new Answer(best, labels[best], scores);
    }

    /**
     * Answers for `python example/python/classify.py --check FILE`, which says whether they are those of the build and,
     * where not, which mistake they look like: save what this returns as FILE. `golden/` has to lie in the assets.
     */
    public String check(AssetManager assets, int photos) throws IOException, Fault {
        StringBuilder lines = new StringBuilder();
        for (int number = 1; number <= photos; number++) {
            for (float score : classify(ppm(read(assets, "golden/" + number + ".ppm"))).scores) {
                lines.append(score).append(' ');
            }
            lines.append('\n');
        }
        return lines.toString();
    }

    @Override
    public void close() {
        interpreter.close();
    }

    /** A photo of golden/. */
    private static Image ppm(byte[] file) throws Fault {
        String[] head = new String(file, 0, Math.min(file.length, 64), StandardCharsets.ISO_8859_1).split("\\s+", 5);
        int width = Integer.parseInt(head[1]);
        int height = Integer.parseInt(head[2]);
        byte[] pixels = new byte[3 * width * height];
        if (!head[0].equals("P6") || !head[3].equals("255") || file.length < pixels.length) {
            throw new Fault(Fault.BAD_SAMPLES, "no PPM of 8 bits");
        }
        System.arraycopy(file, file.length - pixels.length, pixels, 0, pixels.length);
        return new Image(height, width, 3, pixels);
    }

    private static float[] floats(Object list) {
        List<?> values = (List<?>) list;
        float[] found = new float[values.size()];
        for (int i = 0; i < found.length; i++) {
            found[i] = ((Number) values.get(i)).floatValue();
        }
        return found;
    }

    private static byte[] read(AssetManager assets, String name) throws IOException {
        try (InputStream file = assets.open(name)) {
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int count = file.read(part); count > 0; count = file.read(part)) {
                content.write(part, 0, count);
            }
            return content.toByteArray();
        }
    }
}
