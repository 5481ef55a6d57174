package org.ofaedge.demo.core;

/** Grey from colour and colour from grey: `ofa_edge.data.channels.to_channels`, value by value. */
public final class Channels {
    private Channels() {}

    /** Colour to grey is the luma of ITU-R BT.601 in 16-bit fixed point, rounded; grey to colour repeats the channel. */
    public static Image to(Image image, int channels) {
        if (image.channels == channels) {
            return image;
        }
        int count = image.height * image.width;
        byte[] pixels = new byte[count * channels];
        if (image.channels == 3 && channels == 1) {
            for (int i = 0; i < count; i++) {
                int red = image.pixels[3 * i] & 255;
                int green = image.pixels[3 * i + 1] & 255;
                int blue = image.pixels[3 * i + 2] & 255;
                pixels[i] = (byte) (red * 19595 + green * 38470 + blue * 7471 + 0x8000 >> 16);
            }
        } else if (image.channels == 1 && channels == 3) {
            for (int i = 0; i < pixels.length; i++) {
                pixels[i] = image.pixels[i / 3];
            }
        } else {
            throw new IllegalArgumentException(image.channels + " channels to " + channels);
        }
        return new Image(image.height, image.width, channels, pixels);
    }
}
