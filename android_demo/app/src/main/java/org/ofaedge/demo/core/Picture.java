package org.ofaedge.demo.core;

/**
 * Any picture as a network's square of pixels: `ofa_edge.data.picture.square_pixels`, value by value.
 *
 * <p>The central square is cropped; one of four times the wanted size or more is first averaged over boxes down to
 * twice the size (Pillow's BOX filter, in its own fixed-point arithmetic); then channels, then {@link Resize}.
 */
public final class Picture {
    private static final int BITS = 22; // Pillow's PRECISION_BITS for 8-bit pixels

    private Picture() {}

    public static Image square(Image image, int channels, int size) {
        Image square = centre(image);
        if (square.height >= 4 * size) {
            square = box(square, 2 * size);
        }
        return Resize.to(Channels.to(square, channels), size);
    }

    static Image centre(Image image) {
        int side = Math.min(image.height, image.width);
        if (image.height == image.width) {
            return image;
        }
        int left = (image.width - side) / 2;
        int top = (image.height - side) / 2;
        byte[] pixels = new byte[side * side * image.channels];
        for (int y = 0; y < side; y++) {
            int start = ((top + y) * image.width + left) * image.channels;
            System.arraycopy(image.pixels, start, pixels, y * side * image.channels, side * image.channels);
        }
        return new Image(side, side, image.channels, pixels);
    }

    /** Shrinks a square by averaging: across first, then down, each rounded to whole pixel values. */
    static Image box(Image image, int size) {
        int side = image.height;
        int channels = image.channels;
        int[] first = new int[size];
        int[][] weights = new int[size][];
        for (int i = 0; i < size; i++) {
            boxWeights(side, size, i, first, weights);
        }
        byte[] across = new byte[side * size * channels];
        for (int y = 0; y < side; y++) {
            for (int x = 0; x < size; x++) {
                for (int c = 0; c < channels; c++) {
                    int start = (y * side + first[x]) * channels + c;
                    across[(y * size + x) * channels + c] = weigh(image.pixels, start, channels, weights[x]);
                }
            }
        }
        byte[] pixels = new byte[size * size * channels];
        for (int y = 0; y < size; y++) {
            for (int i = 0; i < size * channels; i++) {
                int start = first[y] * size * channels + i;
                pixels[y * size * channels + i] = weigh(across, start, size * channels, weights[y]);
            }
        }
        return new Image(size, size, channels, pixels);
    }

    private static byte weigh(byte[] pixels, int start, int step, int[] weights) {
        int sum = 1 << BITS - 1;
        for (int k = 0; k < weights.length; k++) {
            sum += (pixels[start + k * step] & 255) * weights[k];
        }
        return (byte) Math.max(0, Math.min(255, sum >> BITS));
    }

    private static void boxWeights(int side, int size, int i, int[] first, int[][] weights) {
        double scale = (double) side / size;
        double support = 0.5 * scale;
        double centre = (i + 0.5) * scale;
        int from = Math.max(0, (int) (centre - support + 0.5));
        int count = Math.min(side, (int) (centre + support + 0.5)) - from;
        double[] shares = new double[count];
        double sum = 0;
        for (int k = 0; k < count; k++) {
            double distance = (k + from - centre + 0.5) * (1.0 / scale);
            shares[k] = distance > -0.5 && distance <= 0.5 ? 1.0 : 0.0;
            sum += shares[k];
        }
        first[i] = from;
        weights[i] = new int[count];
        for (int k = 0; k < count; k++) {
            weights[i][k] = (int) (0.5 + shares[k] * (1.0 / sum) * (1 << BITS));
        }
    }
}
