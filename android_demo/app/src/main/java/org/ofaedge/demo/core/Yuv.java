package org.ofaedge.demo.core;

import java.nio.ByteBuffer;

/**
 * A camera's YUV_420_888 as colour or grey. Full-range BT.601 (JFIF), which Android's cameras give, in 16-bit fixed
 * point, rounded; each chroma sample serves its 2 x 2 pixels.
 */
public final class Yuv {
    private Yuv() {}

    /** One plane: where it lies, and how far it is to the next pixel and the next row. */
    public static final class Plane {
        final ByteBuffer data;
        final int rowStride;
        final int pixelStride;

        public Plane(ByteBuffer data, int rowStride, int pixelStride) {
            this.data = data;
            this.rowStride = rowStride;
            this.pixelStride = pixelStride;
        }

        int at(int y, int x) {
            return data.get(y * rowStride + x * pixelStride) & 255;
        }
    }

    /** The part of a frame that begins at (top, left), as colour. */
    public static Image rgb(Plane luma, Plane blue, Plane red, int top, int left, int height, int width) {
        byte[] pixels = new byte[3 * height * width];
        int at = 0;
        for (int y = top; y < top + height; y++) {
            for (int x = left; x < left + width; x++) {
                int light = (luma.at(y, x) << 16) + 0x8000;
                int cb = blue.at(y / 2, x / 2) - 128;
                int cr = red.at(y / 2, x / 2) - 128;
                pixels[at++] = clip(light + 91881 * cr); // 1.402
                pixels[at++] = clip(light - 22554 * cb - 46802 * cr); // 0.344136, 0.714136
                pixels[at++] = clip(light + 116130 * cb); // 1.772
            }
        }
        return new Image(height, width, 3, pixels);
    }

    private static byte clip(int value) {
        return (byte) Math.max(0, Math.min(255, value >> 16));
    }
}
