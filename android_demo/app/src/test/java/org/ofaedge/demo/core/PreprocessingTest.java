package org.ofaedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.fail;

import java.util.Map;
import org.junit.Test;

/** Bit for bit what Python does. */
public class PreprocessingTest {
    @Test
    public void resizingIsPythons() throws Exception {
        for (Map<String, Object> row : Golden.cases("resize")) {
            Image image = Resize.to(Golden.image(row), Golden.number(row, "size"));
            assertEquals(row.toString(), row.get("sha256"), Digest.sha256(image.pixels));
        }
    }

    @Test
    public void halvesAreRoundedUp() {
        byte[] board = {0, 1, 1, 0}; // a chessboard: its mean is 0.5
        assertArrayEquals(new byte[] {1}, Resize.to(new Image(2, 2, 1, board), 1).pixels);
        byte[] bright = {(byte) 254, (byte) 255, (byte) 255, (byte) 254};
        assertArrayEquals(new byte[] {(byte) 255}, Resize.to(new Image(2, 2, 1, bright), 1).pixels);
    }

    @Test
    public void theSameSizeIsTheSameImage() {
        Image image = Golden.pixels(1, 5, 5, 3, 256);
        assertSame(image, Resize.to(image, 5));
    }

    @Test
    public void channelsArePythons() throws Exception {
        for (Map<String, Object> row : Golden.cases("channels")) {
            Image image = Channels.to(Golden.image(row), Golden.number(row, "channels"));
            assertEquals(row.toString(), row.get("sha256"), Digest.sha256(image.pixels));
        }
    }

    @Test
    public void picturesArePythons() throws Exception {
        for (Map<String, Object> row : Golden.cases("pictures")) {
            Image image = Picture.square(Golden.image(row), Golden.number(row, "channels"), Golden.number(row, "size"));
            assertEquals(row.toString(), row.get("sha256"), Digest.sha256(image.pixels));
        }
    }

    @Test
    public void normalisingIsPythons() throws Exception {
        for (Map<String, Object> row : Golden.cases("normalise")) {
            float[] mean = Golden.floats(row.get("mean"));
            Preprocessing how = new Preprocessing(Golden.number(row, "size"), mean.length, mean,
                    Golden.floats(row.get("std")));
            int side = Golden.number(row, "side");
            Image image = Golden.pixels(Golden.number(row, "seed"), side, side, mean.length, 256);
            assertEquals(row.toString(), row.get("sha256"), Golden.digest(how.whole(image)));
        }
    }

    @Test
    public void greyNetworksTakeColourImages() throws Exception {
        Preprocessing how = new Preprocessing(24, 1, new float[] {72.94f}, new float[] {90.02f});
        Image colour = Golden.pixels(3, 24, 24, 3, 256);
        assertArrayEquals(how.whole(Channels.to(colour, 1)), how.whole(colour), 0);
        assertArrayEquals(how.whole(Channels.to(colour, 1)), how.picture(colour), 0);
    }

    @Test
    public void quantisingIsPythons() throws Exception {
        for (Map<String, Object> row : Golden.cases("quantise")) {
            int type = row.get("type").equals("int8") ? Tensor.INT8 : Tensor.UINT8;
            float[] values = Golden.floats(row.get("values"));
            float[] stored = Golden.floats(row.get("stored"));
            float[] real = Golden.floats(row.get("real"));
            float scale = ((Number) row.get("scale")).floatValue();
            Tensor tensor = new Tensor(type, new int[] {values.length}, values.length, scale,
                    Golden.number(row, "zero_point"));
            for (int i = 0; i < values.length; i++) {
                byte got = tensor.quantise(values[i]);
                assertEquals("value " + values[i] + " of " + row, (int) stored[i], type == Tensor.INT8 ? got : got & 255);
                assertEquals(real[i], tensor.dequantise(got), 0);
            }
        }
    }

    @Test
    public void badPreprocessingIsRefused() {
        refused(0, 1, new float[] {1}, new float[] {1}, Fault.UNSUPPORTED_MODEL);
        refused(28, 2, new float[] {1, 1}, new float[] {1, 1}, Fault.UNSUPPORTED_MODEL);
        refused(28, 3, new float[] {1}, new float[] {1, 1, 1}, Fault.NO_METADATA);
        refused(28, 1, new float[] {1}, new float[] {0}, Fault.NO_METADATA);
        refused(28, 1, new float[] {Float.NaN}, new float[] {1}, Fault.NO_METADATA);
        refused(28, 1, new float[] {1}, new float[] {Float.NaN}, Fault.NO_METADATA);
    }

    private static void refused(int size, int channels, float[] mean, float[] std, String code) {
        try {
            new Preprocessing(size, channels, mean, std);
        } catch (Fault fault) {
            assertEquals(code, fault.code);
            return;
        }
        fail("taken: " + size + " " + channels);
    }
}
