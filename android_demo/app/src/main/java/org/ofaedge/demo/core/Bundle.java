package org.ofaedge.demo.core;

import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** `assets/bundle.json`, which `ofa-edge bundle` writes: the models and sample images in the app, with digests. */
public final class Bundle {
    private static final int SCHEMA = 1;

    public final String madeBy;
    public final List<BundledModel> models;
    public final List<BundledSamples> samples;

    private Bundle(String madeBy, List<BundledModel> models, List<BundledSamples> samples) {
        this.madeBy = madeBy;
        this.models = Collections.unmodifiableList(models);
        this.samples = Collections.unmodifiableList(samples);
    }

    /** Throws Fault (bad-bundle) with the place of whatever is wrong. */
    public static Bundle read(byte[] json) throws Fault {
        Fields top = new Fields(Json.read(new String(json, Charset.forName("UTF-8")), Fault.BAD_BUNDLE), "bundle");
        top.whole("schema", SCHEMA, SCHEMA);
        Set<String> names = new HashSet<String>();
        List<BundledSamples> samples = new ArrayList<BundledSamples>();
        for (Fields fields : top.objects("samples")) {
            samples.add(new BundledSamples(fields));
            unique(names, "samples " + samples.get(samples.size() - 1).name);
        }
        List<BundledModel> models = new ArrayList<BundledModel>();
        for (Fields fields : top.objects("models")) {
            BundledModel model = new BundledModel(fields);
            unique(names, "model " + model.name);
            if (model.samples != null && !names.contains("samples " + model.samples)) {
                throw fields.wrong("samples", "names no samples of the bundle: " + model.samples);
            }
            models.add(model);
        }
        return new Bundle(top.text("ofa_edge"), models, samples);
    }

    /** Throws Fault (unknown-model) with the names that there are. */
    public BundledModel model(String name) throws Fault {
        List<String> names = new ArrayList<String>();
        for (BundledModel model : models) {
            if (model.name.equals(name)) {
                return model;
            }
            names.add(model.name);
        }
        throw new Fault(Fault.UNKNOWN_MODEL, "no model " + name + "; there are: " + names);
    }

    /** The sample images that fit a model; null where the bundle has none. */
    public BundledSamples samplesOf(BundledModel model) {
        for (BundledSamples set : samples) {
            if (set.name.equals(model.samples)) {
                return set;
            }
        }
        return null;
    }

    private static void unique(Set<String> names, String name) throws Fault {
        if (!names.add(name)) {
            throw new Fault(Fault.BAD_BUNDLE, "two of " + name);
        }
    }
}
