package org.ofaedge.demo.core;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** Opens what the bundle holds. Nothing is used whose SHA-256 is not the manifest's. */
public final class ModelStore {
    private static final int MOST_BYTES = 1 << 30;

    /** Where the files are: the APK's assets, or a folder. */
    public interface Source {
        InputStream open(String path) throws IOException;
    }

    private final Source source;
    private final Engine.Factory engines;
    private final Bundle bundle;

    /** Throws Fault (bad-bundle) where there is no readable bundle. */
    public ModelStore(Source source, Engine.Factory engines) throws Fault {
        this.source = source;
        this.engines = engines;
        byte[] json;
        try {
            json = readAll(source.open("bundle.json"));
        } catch (IOException error) {
            throw new Fault(Fault.BAD_BUNDLE, "no bundle.json: no model was bundled into this app", error);
        }
        this.bundle = Bundle.read(json);
    }

    public Bundle bundle() {
        return bundle;
    }

    /** Name and version of the runtime. */
    public String runtime() {
        return engines.runtime();
    }

    /** Throws Fault where the file is damaged or missing; says nothing about whether it can be run. */
    public byte[] modelBytes(BundledModel model) throws Fault {
        byte[] bytes = read(model.file);
        if (bytes.length != model.size) {
            throw new Fault(Fault.DAMAGED, model.file + ": " + bytes.length + " bytes, the bundle says " + model.size);
        }
        Digest.check(bytes, model.sha256, model.file);
        return bytes;
    }

    /** What a model says about itself, without loading it. */
    public ModelMetadata metadata(BundledModel model) throws Fault {
        return ModelMetadata.read(modelBytes(model));
    }

    /** A model ready to classify. The caller closes it. */
    public Classifier open(BundledModel model, int threads) throws Fault {
        byte[] bytes = modelBytes(model);
        byte[] labels = read(model.labelsFile);
        Digest.check(labels, model.labelsSha256, model.labelsFile);
        ModelMetadata metadata = ModelMetadata.read(bytes);
        if (metadata.classes != model.classes || !ModelMetadata.lines(labels).equals(metadata.labels)) {
            throw new Fault(Fault.DAMAGED, model.labelsFile + " and the model's own labels differ");
        }
        return open(bytes, threads);
    }

    /** A model from elsewhere, whose digest the caller has checked, ready to classify. The caller closes it. */
    public Classifier open(byte[] bytes, int threads) throws Fault {
        ModelMetadata metadata = ModelMetadata.read(bytes);
        long start = System.nanoTime();
        Engine engine = engines.open(bytes, threads);
        long loadNanos = System.nanoTime() - start;
        try {
            return new Classifier(metadata, engine, loadNanos);
        } catch (Fault error) {
            engine.close();
            throw error;
        }
    }

    public SampleSet samples(BundledSamples set) throws Fault {
        return new SampleSet(set, read(set.file), read(set.labelsFile));
    }

    private byte[] read(String path) throws Fault {
        try {
            return readAll(source.open(path));
        } catch (IOException error) {
            throw new Fault(Fault.DAMAGED, path + " is missing or unreadable", error);
        }
    }

    private static byte[] readAll(InputStream in) throws IOException {
        try {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int n = in.read(part); n >= 0; n = in.read(part)) {
                out.write(part, 0, n);
                if (out.size() > MOST_BYTES) {
                    throw new IOException("too large");
                }
            }
            return out.toByteArray();
        } finally {
            in.close();
        }
    }
}
