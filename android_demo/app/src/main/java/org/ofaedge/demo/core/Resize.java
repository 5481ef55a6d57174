package org.ofaedge.demo.core;

/**
 * `ofa_edge.data.pixels.resize`, value by value: a separable triangle filter, widened when shrinking, in float64,
 * rounded half up.
 *
 * <p>The weights are whole multiples of 2^-20, so every sum below is exact and its order does not matter.
 */
public final class Resize {
    private static final double UNIT = 1 << 20;

    private Resize() {}

    /** To size x size; a rectangle is squeezed (see {@link Picture} for the central square). */
    public static Image to(Image image, int size) {
        if (image.height == size && image.width == size) {
            return image;
        }
        Filter down = new Filter(image.height, size);
        Filter across = new Filter(image.width, size);
        int row = image.width * image.channels;
        double[] line = new double[row];
        byte[] pixels = new byte[size * size * image.channels];
        for (int y = 0; y < size; y++) {
            sumRows(image, down, y, line);
            for (int x = 0; x < size; x++) {
                for (int c = 0; c < image.channels; c++) {
                    double sum = 0;
                    for (int k = across.first[x]; k < across.end[x]; k++) {
                        sum += across.weights[x][k - across.first[x]] * line[k * image.channels + c];
                    }
                    double whole = Math.floor(sum + 0.5);
                    pixels[(y * size + x) * image.channels + c] = (byte) (int) Math.max(0, Math.min(255, whole));
                }
            }
        }
        return new Image(size, size, image.channels, pixels);
    }

    private static void sumRows(Image image, Filter down, int y, double[] line) {
        java.util.Arrays.fill(line, 0);
        for (int k = down.first[y]; k < down.end[y]; k++) {
            double weight = down.weights[y][k - down.first[y]];
            int start = k * line.length;
            for (int i = 0; i < line.length; i++) {
                line[i] += weight * (image.pixels[start + i] & 255);
            }
        }
    }

    /** For each output, the inputs from `first` up to `end` and their weights. */
    private static final class Filter {
        final int[] first;
        final int[] end;
        final double[][] weights;

        Filter(int length, int size) {
            first = new int[size];
            end = new int[size];
            weights = new double[size][];
            double scale = (double) length / size;
            double support = Math.max(scale, 1.0);
            for (int i = 0; i < size; i++) {
                double centre = (i + 0.5) * scale;
                first[i] = Math.max(0, (int) Math.floor(centre - support - 1));
                end[i] = Math.min(length, (int) Math.ceil(centre + support + 1));
                weights[i] = weights(first[i], end[i], centre, support);
            }
        }

        private static double[] weights(int first, int end, double centre, double support) {
            double[] weights = new double[end - first];
            double sum = 0;
            for (int k = 0; k < weights.length; k++) {
                weights[k] = Math.max(0.0, 1.0 - Math.abs(first + k + 0.5 - centre) / support);
                sum += weights[k];
            }
            for (int k = 0; k < weights.length; k++) {
                weights[k] = Math.rint(weights[k] / sum * UNIT) / UNIT;
            }
            return weights;
        }
    }
}
