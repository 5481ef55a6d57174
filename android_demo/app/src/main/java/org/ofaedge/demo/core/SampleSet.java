package org.ofaedge.demo.core;

import java.util.Arrays;

/** Labelled test images, all of one shape, in memory. */
public final class SampleSet {
    public final int count;
    private final BundledSamples facts;
    private final byte[] pixels;
    private final byte[] labels;

    /** Throws Fault where the contents are damaged, of another size, or have a label that is no class. */
    SampleSet(BundledSamples facts, byte[] pixels, byte[] labels) throws Fault {
        Digest.check(pixels, facts.sha256, facts.file);
        Digest.check(labels, facts.labelsSha256, facts.labelsFile);
        this.facts = facts;
        this.count = facts.count;
        this.pixels = pixels;
        this.labels = labels;
        long wanted = (long) count * facts.height * facts.width * facts.channels;
        if (pixels.length != wanted || labels.length != (long) count * labelBytes()) {
            throw new Fault(Fault.BAD_SAMPLES, facts.name + ": " + pixels.length + " bytes of pixels and "
                    + labels.length + " of labels for " + count + " images");
        }
        for (int i = 0; i < count; i++) {
            if (label(i) >= facts.classes) {
                throw new Fault(Fault.BAD_SAMPLES, facts.name + ": image " + i + " is of class " + label(i) + " of "
                        + facts.classes);
            }
        }
    }

    public Image image(int index) {
        int size = facts.height * facts.width * facts.channels;
        byte[] part = Arrays.copyOfRange(pixels, index * size, (index + 1) * size);
        return new Image(facts.height, facts.width, facts.channels, part);
    }

    public int label(int index) {
        int low = labels[index * labelBytes()] & 255;
        return labelBytes() == 1 ? low : low | (labels[2 * index + 1] & 255) << 8;
    }

    public String name() {
        return facts.name;
    }

    public String source() {
        return facts.source;
    }

    private int labelBytes() {
        return facts.classes > 256 ? 2 : 1;
    }
}
