package org.ofaedge.demo.core;

/** Pixels 0..255 as unsigned bytes, row by row, channels last. The array is not copied. */
public final class Image {
    public final int height;
    public final int width;
    public final int channels;
    public final byte[] pixels;

    public Image(int height, int width, int channels, byte[] pixels) {
        if (height < 1 || width < 1 || channels < 1 || (long) height * width * channels != pixels.length) {
            throw new IllegalArgumentException(
                    "image " + height + " x " + width + " x " + channels + " of " + pixels.length + " bytes");
        }
        this.height = height;
        this.width = width;
        this.channels = channels;
        this.pixels = pixels;
    }

    public int at(int y, int x, int channel) {
        return pixels[(y * width + x) * channels + channel] & 255;
    }

    /** From packed 0xAARRGGBB; alpha is ignored. */
    public static Image ofArgb(int height, int width, int[] argb) {
        byte[] pixels = new byte[3 * height * width];
        for (int i = 0; i < height * width; i++) {
            pixels[3 * i] = (byte) (argb[i] >> 16);
            pixels[3 * i + 1] = (byte) (argb[i] >> 8);
            pixels[3 * i + 2] = (byte) argb[i];
        }
        return new Image(height, width, 3, pixels);
    }

    /** To packed 0xFFRRGGBB. */
    public int[] toArgb() {
        int[] argb = new int[height * width];
        for (int i = 0; i < argb.length; i++) {
            int red = pixels[i * channels] & 255;
            int green = channels == 3 ? pixels[i * channels + 1] & 255 : red;
            int blue = channels == 3 ? pixels[i * channels + 2] & 255 : red;
            argb[i] = 0xFF000000 | red << 16 | green << 8 | blue;
        }
        return argb;
    }
}
