package org.ofaedge.demo.core;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;

/** What `golden.py` wrote: Python's results, and the pixels that both make from a seed. */
final class Golden {
    private Golden() {}

    static byte[] resource(String name) throws Exception {
        InputStream in = Golden.class.getResourceAsStream("/" + name);
        if (in == null) {
            throw new IllegalStateException("no resource " + name);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        for (int n = in.read(part); n >= 0; n = in.read(part)) {
            out.write(part, 0, n);
        }
        in.close();
        return out.toByteArray();
    }

    @SuppressWarnings("unchecked")
    static List<Map<String, Object>> cases(String name) throws Exception {
        Map<?, ?> all = (Map<?, ?>) Json.read(new String(resource("golden.json"), "UTF-8"), Fault.FAILED);
        List<Map<String, Object>> cases = (List<Map<String, Object>>) all.get(name);
        if (cases.isEmpty()) {
            throw new IllegalStateException("no cases of " + name);
        }
        return cases;
    }

    static int number(Map<String, Object> row, String key) {
        return ((Long) row.get(key)).intValue();
    }

    static float[] floats(Object list) {
        float[] values = new float[((List<?>) list).size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = ((Number) ((List<?>) list).get(i)).floatValue();
        }
        return values;
    }

    /** The image that a case begins with. */
    static Image image(Map<String, Object> row) {
        List<?> shape = (List<?>) row.get("shape");
        int levels = row.containsKey("levels") ? number(row, "levels") : 256;
        return pixels(number(row, "seed"), side(shape, 0), side(shape, 1), side(shape, 2), levels);
    }

    private static int side(List<?> shape, int index) {
        return ((Long) shape.get(index)).intValue();
    }

    static Image pixels(int seed, int height, int width, int channels, int levels) {
        byte[] pixels = new byte[height * width * channels];
        long state = seed;
        for (int i = 0; i < pixels.length; i++) {
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFFL;
            pixels[i] = (byte) ((state >> 24) * levels / 256);
        }
        return new Image(height, width, channels, pixels);
    }

    static String digest(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return Digest.sha256(bytes.array());
    }

    static byte[] bytes(String hex) {
        byte[] bytes = new byte[hex.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
