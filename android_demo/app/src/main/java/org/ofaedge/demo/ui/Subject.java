package org.ofaedge.demo.ui;

import android.content.Context;
import java.io.File;
import java.io.IOException;
import org.ofaedge.demo.core.Artifact;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.BundledSamples;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Inputs;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.Preprocessing;
import org.ofaedge.demo.core.SampleSet;

/** What a benchmark measures: a bundled model or a pushed one, on the bundled samples or on pushed inputs. */
final class Subject {
    private static final long MOST_BYTES = 1 << 28;

    private final ModelStore store;
    private final BundledModel model; // null for a pushed file
    private final byte[] pushed; // null for a bundled model
    private final byte[] values; // null without pushed inputs
    private final Artifact artifact;
    private SampleSet samples;

    /** `file` and `inputs` are names of pushed files, or "". Throws Fault where one is missing, or there is no such model. */
    Subject(Context context, ModelStore store, String name, String file, String inputs) throws Fault {
        this.store = store;
        this.model = file.isEmpty() ? store.bundle().model(name) : null;
        this.pushed = file.isEmpty() ? null : read(context, file);
        this.values = inputs.isEmpty() ? null : read(context, inputs);
        this.artifact = model != null ? Artifact.bundled(model) : Artifact.pushed(file, pushed);
    }

    Artifact artifact() {
        return artifact;
    }

    /** Bundled models are checked against the bundle's digests; for a pushed one the caller has checked its own. */
    Classifier open(int threads) throws Fault {
        return model != null ? store.open(model, threads) : store.open(pushed, threads);
    }

    /** Null where there are none. */
    Inputs inputs(Preprocessing preprocessing) throws Fault {
        if (values != null) {
            return Inputs.of(values, preprocessing.size * preprocessing.size * preprocessing.channels);
        }
        BundledSamples set = model == null ? null : store.bundle().samplesOf(model);
        if (set == null) {
            return null;
        }
        samples = store.samples(set);
        return Inputs.of(samples, preprocessing);
    }

    /** The labelled images behind `inputs`; null where these are pushed values, or none. */
    SampleSet samples() {
        return samples;
    }

    private static byte[] read(Context context, String name) throws Fault {
        File file = new File(BenchmarkRun.folder(context), name);
        try {
            if (!file.isFile() || file.length() > MOST_BYTES) {
                throw new IOException(file.isFile() ? "too large" : "no such file");
            }
            return Files.read(file);
        } catch (IOException error) {
            throw new Fault(Fault.BAD_REQUEST, "cannot read " + file + ": " + error.getMessage(), error);
        }
    }
}
