package org.ofaedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.Test;

/** Colour conversion and turning. */
public class CameraImageTest {
    private static Yuv.Plane plane(byte[] data, int row, int pixel) {
        return new Yuv.Plane(ByteBuffer.wrap(data), row, pixel);
    }

    @Test
    public void coloursFollowTheFormula() {
        byte[] y = new byte[4];
        byte[] u = new byte[1];
        byte[] v = new byte[1];
        for (int light = 0; light < 256; light += 5) {
            for (int blue = 0; blue < 256; blue += 15) {
                for (int red = 0; red < 256; red += 15) {
                    Arrays.fill(y, (byte) light);
                    u[0] = (byte) blue;
                    v[0] = (byte) red;
                    Image image = Yuv.rgb(plane(y, 2, 1), plane(u, 1, 1), plane(v, 1, 1), 0, 0, 2, 2);
                    near(light + 1.402 * (red - 128), image.at(1, 1, 0));
                    near(light - 0.344136 * (blue - 128) - 0.714136 * (red - 128), image.at(0, 1, 1));
                    near(light + 1.772 * (blue - 128), image.at(1, 0, 2));
                }
            }
        }
    }

    private static void near(double exact, int got) {
        double wanted = Math.max(0, Math.min(255, exact));
        assertTrue(wanted + " is not " + got, Math.abs(wanted - got) <= 0.51);
    }

    @Test
    public void stridesAndTheCornerAreFollowed() {
        byte[] y = new byte[6 * 10]; // 6 rows of 8 pixels, 2 bytes of padding
        for (int i = 0; i < y.length; i++) {
            y[i] = (byte) i;
        }
        byte[] chroma = new byte[3 * 16]; // interleaved: a chroma sample every second byte, rows of 16
        Arrays.fill(chroma, (byte) 128);
        chroma[16 + 2 * 2] = (byte) 255; // red of row 1, column 2: pixels (2..3, 4..5)
        Image grey = Yuv.rgb(plane(y, 10, 1), plane(fill(128), 16, 2), plane(fill(128), 16, 2), 2, 3, 2, 2);
        assertEquals(2 * 10 + 3, grey.at(0, 0, 0));
        assertEquals(3 * 10 + 4, grey.at(1, 1, 2));
        Image red = Yuv.rgb(plane(y, 10, 1), plane(fill(128), 16, 2), plane(chroma, 16, 2), 0, 0, 6, 8);
        assertEquals(Math.round(3 * 10 + 5 + 1.402 * 127), red.at(3, 5, 0));
        assertEquals(3 * 10 + 6, red.at(3, 6, 0)); // the next chroma sample is grey
    }

    private static byte[] fill(int value) {
        byte[] data = new byte[3 * 16];
        Arrays.fill(data, (byte) value);
        return data;
    }

    @Test
    public void turningIsClockwise() {
        Image image = new Image(2, 3, 1, new byte[] {1, 2, 3, 4, 5, 6});
        assertArrayEquals(new byte[] {4, 1, 5, 2, 6, 3}, Orientation.rotate(image, 90).pixels);
        assertArrayEquals(new byte[] {6, 5, 4, 3, 2, 1}, Orientation.rotate(image, 180).pixels);
        assertArrayEquals(new byte[] {3, 6, 2, 5, 1, 4}, Orientation.rotate(image, 270).pixels);
        assertEquals(3, Orientation.rotate(image, 90).height);
    }

    @Test
    public void framesAreTurnedUpright() {
        assertEquals(90, Orientation.ofCamera(90, 0, false)); // a phone held upright
        assertEquals(0, Orientation.ofCamera(90, 90, false)); // its left side down
        assertEquals(180, Orientation.ofCamera(90, 270, false));
        assertEquals(270, Orientation.ofCamera(270, 0, true));
        assertEquals(0, Orientation.ofCamera(270, 90, true));
    }

    @Test
    public void exifIsPillows() throws Exception {
        for (Map<String, Object> row : Golden.cases("turned")) {
            int number = Golden.number(row, "number");
            Image image = Orientation.upright(Golden.pixels(600, 5, 7, 3, 256), number);
            assertEquals(row.toString(), row.get("sha256"), Digest.sha256(image.pixels));
            assertEquals(((List<?>) row.get("shape")).get(0), (long) image.height);
            assertEquals(number, Orientation.ofJpeg(Golden.bytes((String) row.get("jpeg"))));
        }
    }

    @Test
    public void exifIsReadInBothByteOrders() {
        String head = "ffd8" + "ffe1" + "0022" + "457869660000";
        String big = "4d4d002a00000008" + "0001" + "0112000300000001" + "00060000" + "00000000";
        String little = "49492a0008000000" + "0100" + "1201030001000000" + "08000000" + "00000000";
        assertEquals(6, Orientation.ofJpeg(Golden.bytes(head + big)));
        assertEquals(8, Orientation.ofJpeg(Golden.bytes(head + little)));
    }

    @Test
    public void brokenFilesAreTakenAsTheyLie() throws Exception {
        byte[] file = Golden.bytes((String) Golden.cases("turned").get(5).get("jpeg"));
        for (int length = 0; length < 40; length++) {
            int number = Orientation.ofJpeg(Arrays.copyOf(file, length));
            assertTrue(number == 1 || number == 6);
        }
        for (int at = 0; at < 60; at++) {
            byte[] broken = file.clone();
            broken[at] ^= (byte) 0xFF;
            int number = Orientation.ofJpeg(broken);
            assertTrue(number >= 1 && number <= 8);
        }
        assertEquals(1, Orientation.ofJpeg(new byte[0]));
    }
}
