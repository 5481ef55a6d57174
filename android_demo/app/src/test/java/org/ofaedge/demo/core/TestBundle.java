package org.ofaedge.demo.core;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A bundle in memory: two copies of the tiny model, "good" and "other", and 20 sample images. */
final class TestBundle implements ModelStore.Source, Engine.Factory {
    static final int COUNT = 20;
    final Map<String, byte[]> files = new TreeMap<String, byte[]>();
    final Map<String, Object> top = new TreeMap<String, Object>();
    final List<Object> models = new ArrayList<Object>();
    final List<Object> samples = new ArrayList<Object>();
    FakeEngine engine = new FakeEngine(1000000, 0);

    TestBundle() throws Exception {
        byte[] pixels = new byte[COUNT * 784];
        byte[] labels = new byte[COUNT];
        for (int i = 0; i < COUNT; i++) {
            for (int k = 0; k < 784; k++) {
                pixels[784 * i + k] = (byte) (i % 10 * 28);
            }
            labels[i] = (byte) (i < 18 ? i % 10 : 0); // the last two are labelled wrongly
        }
        samples.add(sampleSet("tiny-images", pixels, labels));
        models.add(model("good"));
        models.add(model("other"));
        top.put("schema", 1L);
        top.put("ofa_edge", "0.1.0");
        top.put("models", models);
        top.put("samples", samples);
    }

    private Map<String, Object> sampleSet(String name, byte[] pixels, byte[] labels) {
        files.put("samples/" + name + "/images.bin", pixels);
        files.put("samples/" + name + "/labels.bin", labels);
        Map<String, Object> set = new TreeMap<String, Object>();
        set.put("name", name);
        set.put("source", "made for this test");
        set.put("classes", 10L);
        set.put("file", "samples/" + name + "/images.bin");
        set.put("sha256", Digest.sha256(pixels));
        set.put("size", (long) pixels.length);
        set.put("labels_file", "samples/" + name + "/labels.bin");
        set.put("labels_sha256", Digest.sha256(labels));
        set.put("count", (long) COUNT);
        set.put("height", 28L);
        set.put("width", 28L);
        set.put("channels", 1L);
        return set;
    }

    private Map<String, Object> model(String name) throws Exception {
        byte[] file = Golden.resource("tiny.tflite");
        StringBuilder text = new StringBuilder();
        for (String label : ModelMetadata.read(file).labels) {
            text.append(label).append('\n');
        }
        byte[] labels = text.toString().getBytes("UTF-8");
        files.put("models/" + name + "/model.tflite", file);
        files.put("models/" + name + "/labels.txt", labels);
        Map<String, Object> model = new TreeMap<String, Object>();
        model.put("name", name);
        model.put("file", "models/" + name + "/model.tflite");
        model.put("sha256", Digest.sha256(file));
        model.put("size", (long) file.length);
        model.put("labels", "models/" + name + "/labels.txt");
        model.put("labels_sha256", Digest.sha256(labels));
        model.put("classes", 10L);
        model.put("precision", "int8");
        model.put("target", "pixel-4");
        model.put("network", "ca46a30e8a49");
        model.put("resolution", 28L);
        model.put("channels", 1L);
        model.put("macs", 5020000L);
        model.put("params", 243000L);
        model.put("source", "fashion-mnist");
        model.put("trained", true);
        model.put("verified", true);
        model.put("manifest_sha256", Digest.sha256(labels));
        model.put("top1", 0.9245);
        model.put("top1_images", 2000L);
        Map<String, Object> predicted = new TreeMap<String, Object>();
        predicted.put("ms", 2.46);
        predicted.put("low90", 1.28);
        predicted.put("high90", 4.73);
        predicted.put("provenance", "published");
        model.put("predicted_ms", predicted);
        model.put("measured_ms", null);
        model.put("threads", 4L);
        model.put("samples", "tiny-images");
        return model;
    }

    @SuppressWarnings("unchecked")
    Map<String, Object> model(int index) {
        return (Map<String, Object>) models.get(index);
    }

    @SuppressWarnings("unchecked")
    Map<String, Object> sampleSet() {
        return (Map<String, Object>) samples.get(0);
    }

    /** Another content, and the digest to it: a bundle that is whole, and wrong. */
    void replace(Map<String, Object> entry, String file, String sha256, byte[] content) {
        files.put((String) entry.get(file), content);
        entry.put(sha256, Digest.sha256(content));
        if (file.equals("file")) {
            entry.put("size", (long) content.length);
        }
    }

    ModelStore store() throws Fault {
        files.put("bundle.json", Json.write(top).getBytes());
        return new ModelStore(this, this);
    }

    @Override
    public InputStream open(String path) throws IOException {
        if (!files.containsKey(path)) {
            throw new FileNotFoundException(path);
        }
        return new ByteArrayInputStream(files.get(path));
    }

    @Override
    public Engine open(byte[] model, int threads) {
        return engine;
    }

    @Override
    public String runtime() {
        return "fake 1";
    }
}
