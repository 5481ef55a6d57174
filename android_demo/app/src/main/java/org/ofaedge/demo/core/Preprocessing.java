package org.ofaedge.demo.core;

/**
 * From pixels to a network's input: `ofa_edge.data.preprocess.Preprocessing`, value by value, in float32.
 *
 * <p>Everything comes from the model's own metadata and input tensor. The layout is TFLite's: [height, width, channel].
 */
public final class Preprocessing {
    public final int size;
    public final int channels;
    private final float[] mean;
    private final float[] std;

    /** Mean and std are in units of the pixel values 0..255, by channel. */
    public Preprocessing(int size, int channels, float[] mean, float[] std) throws Fault {
        if (size < 1 || size > 4096 || channels != 1 && channels != 3) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "an input of " + size + " x " + size + " x " + channels);
        }
        if (mean.length != channels || std.length != channels) {
            throw new Fault(Fault.NO_METADATA, mean.length + " means and " + std.length + " stds for " + channels
                    + " channels");
        }
        for (int c = 0; c < channels; c++) {
            if (!(std[c] > 0) || Float.isInfinite(std[c]) || Float.isNaN(mean[c]) || Float.isInfinite(mean[c])) {
                throw new Fault(Fault.NO_METADATA, "mean " + mean[c] + " and std " + std[c] + " of channel " + c);
            }
        }
        this.size = size;
        this.channels = channels;
        this.mean = mean.clone();
        this.std = std.clone();
    }

    /** Any picture: its central square, brought to the network's size and channels, then normalised. */
    public float[] picture(Image image) {
        return normalise(Picture.square(image, channels, size));
    }

    /** A whole image of a data set: no crop. */
    public float[] whole(Image image) {
        return normalise(Resize.to(Channels.to(image, channels), size));
    }

    /** Pixels at the network's size and channels. */
    public float[] normalise(Image image) {
        if (image.height != size || image.width != size || image.channels != channels) {
            throw new IllegalArgumentException("an image of another size");
        }
        float[] values = new float[image.pixels.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = ((float) (image.pixels[i] & 255) - mean[i % channels]) / std[i % channels];
        }
        return values;
    }
}
