package org.ofaedge.demo.core;

/** What `bundle.json` says of one model. How to feed it, the model says itself: see {@link ModelMetadata}. */
public final class BundledModel {
    public final String name;
    public final String file;
    public final String sha256;
    public final long size;
    public final String labelsFile;
    public final String labelsSha256;
    public final int classes;
    public final String precision;
    public final String target;
    public final String network;
    public final int resolution;
    public final int channels;
    public final long macs;
    public final long params;
    public final String source;
    public final boolean trained;
    /** Whether the build passed parity and accuracy. */
    public final boolean verified;
    public final String manifestSha256;
    public final Double top1;
    public final long top1Images;
    public final Prediction predicted;
    public final Measured measured;
    public final int threads;
    /** Of a sample set, or null. */
    public final String samples;

    BundledModel(Fields fields) throws Fault {
        name = fields.name("name");
        file = fields.path("file", "models");
        sha256 = fields.sha256("sha256");
        size = fields.whole("size", 1, 1L << 30);
        labelsFile = fields.path("labels", "models");
        labelsSha256 = fields.sha256("labels_sha256");
        classes = (int) fields.whole("classes", 1, 1 << 20);
        precision = fields.text("precision");
        target = fields.text("target");
        network = fields.text("network");
        resolution = (int) fields.whole("resolution", 1, 4096);
        channels = (int) fields.whole("channels", 1, 3);
        macs = fields.whole("macs", 0, Long.MAX_VALUE);
        params = fields.whole("params", 0, Long.MAX_VALUE);
        source = fields.text("source");
        trained = fields.flag("trained");
        verified = fields.flag("verified");
        manifestSha256 = fields.sha256("manifest_sha256");
        top1 = fields.numberOrNull("top1");
        top1Images = top1 == null ? 0 : fields.whole("top1_images", 1, Long.MAX_VALUE);
        if (top1 != null && !(top1 >= 0 && top1 <= 1)) {
            throw fields.wrong("top1", "is not a fraction");
        }
        Fields prediction = fields.objectOrNull("predicted_ms");
        predicted = prediction == null ? null : new Prediction(prediction);
        Fields measurement = fields.objectOrNull("measured_ms");
        measured = measurement == null ? null : new Measured(measurement);
        threads = (int) fields.whole("threads", 1, 1024);
        samples = fields.textOrNull("samples");
    }

    /** What the target's latency model says, in milliseconds, with the 90 % interval and where the model comes from. */
    public static final class Prediction {
        public final double ms;
        public final double low90;
        public final double high90;
        public final String provenance;

        Prediction(Fields fields) throws Fault {
            ms = fields.number("ms");
            low90 = fields.number("low90");
            high90 = fields.number("high90");
            provenance = fields.text("provenance");
        }
    }

    /** Milliseconds on a physical device; there are no others. */
    public static final class Measured {
        public final double p50;
        public final double p90;
        public final String device;

        Measured(Fields fields) throws Fault {
            p50 = fields.number("p50");
            p90 = fields.number("p90");
            device = fields.text("device");
            if (!fields.text("kind").equals("physical")) {
                throw fields.wrong("kind", "is not physical: only hardware gives milliseconds");
            }
        }
    }
}
