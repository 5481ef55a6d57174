package org.ofaedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What a network is fed, image by image, as float32 [height, width, channel]: before quantisation, after all else. */
public abstract class Inputs {
    public abstract int count();

    public abstract float[] at(int index);

    /** Test images, prepared as the model asks. */
    public static Inputs of(final SampleSet samples, final Preprocessing preprocessing) {
        return new Inputs() {
            @Override
            public int count() {
                return samples.count;
            }

            @Override
            public float[] at(int index) {
                return preprocessing.whole(samples.image(index));
            }
        };
    }

    /** A file of float32, little endian, [images, height, width, channel]; throws Fault where it is none of this size. */
    public static Inputs of(byte[] file, final int perImage) throws Fault {
        if (file.length == 0 || file.length % (4L * perImage) != 0) {
            throw new Fault(Fault.BAD_REQUEST, "inputs has " + file.length + " bytes; images of this model have "
                    + 4L * perImage);
        }
        final ByteBuffer values = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        return new Inputs() {
            @Override
            public int count() {
                return values.capacity() / 4 / perImage;
            }

            @Override
            public float[] at(int index) {
                float[] image = new float[perImage];
                for (int i = 0; i < perImage; i++) {
                    image[i] = values.getFloat(4 * (index * perImage + i));
                }
                return image;
            }
        };
    }
}
