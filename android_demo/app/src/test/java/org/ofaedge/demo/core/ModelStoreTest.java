package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.junit.Before;
import org.junit.Test;

/** What is damaged or does not fit is refused, and the rest still works. */
public class ModelStoreTest {
    private TestBundle bundle;

    @Before
    public void makeBundle() throws Exception {
        bundle = new TestBundle();
    }

    @Test
    public void factsAreRead() throws Exception {
        BundledModel model = bundle.store().bundle().model("good");
        assertEquals("int8", model.precision);
        assertEquals(2.46, model.predicted.ms, 0);
        assertEquals("published", model.predicted.provenance);
        assertNull(model.measured);
        assertEquals(0.9245, model.top1, 0);
        assertEquals(20, bundle.store().bundle().samplesOf(model).count);
    }

    @Test
    public void aTamperedModelIsRefusedAndTheOtherOpens() throws Exception {
        byte[] file = bundle.files.get("models/good/model.tflite").clone();
        file[100] ^= 1;
        bundle.files.put("models/good/model.tflite", file);
        refused("good", Fault.DAMAGED, "SHA-256");
        bundle.store().open(bundle.store().bundle().model("other"), 1).close();
    }

    @Test
    public void aTruncatedModelIsRefused() throws Exception {
        byte[] file = bundle.files.get("models/good/model.tflite");
        bundle.files.put("models/good/model.tflite", Arrays.copyOf(file, file.length / 2));
        refused("good", Fault.DAMAGED, "bytes");
        bundle.replace(bundle.model(0), "file", "sha256", Arrays.copyOf(file, file.length / 2));
        refused("good", Fault.NO_METADATA, "");
    }

    @Test
    public void aMissingFileIsRefused() throws Exception {
        bundle.files.remove("models/good/model.tflite");
        refused("good", Fault.DAMAGED, "missing");
    }

    @Test
    public void labelsOfAnotherCountOrTextAreRefused() throws Exception {
        bundle.replace(bundle.model(0), "labels", "labels_sha256", "one\ntwo\n".getBytes());
        refused("good", Fault.DAMAGED, "differ");
        bundle.files.put("models/other/labels.txt", "tampered".getBytes());
        refused("other", Fault.DAMAGED, "SHA-256");
        bundle.model(1).put("classes", 9L);
        bundle.replace(bundle.model(1), "labels", "labels_sha256", bundle.files.get("models/good/labels.txt"));
        refused("other", Fault.DAMAGED, "differ");
    }

    @Test
    public void anEngineOfAnotherShapeIsRefusedAndClosed() throws Exception {
        bundle.engine.outputShape = new int[] {1, 11};
        refused("good", Fault.UNSUPPORTED_MODEL, "11");
        assertTrue(bundle.engine.closed);
        bundle.engine = new FakeEngine(1, 0);
        bundle.engine.inputShape = new int[] {1, 14, 56, 1};
        refused("good", Fault.UNSUPPORTED_MODEL, "56");
    }

    @Test
    public void damagedSamplesAreRefused() throws Exception {
        bundle.files.get("samples/tiny-images/images.bin")[5] ^= 1;
        samplesRefused(Fault.DAMAGED);
        bundle = new TestBundle();
        bundle.replace(bundle.sampleSet(), "labels_file", "labels_sha256", new byte[19]);
        samplesRefused(Fault.BAD_SAMPLES);
        byte[] labels = new byte[20];
        labels[19] = 10;
        bundle.replace(bundle.sampleSet(), "labels_file", "labels_sha256", labels);
        samplesRefused(Fault.BAD_SAMPLES);
    }

    @Test
    public void accuracyIsCountedImageByImage() throws Exception {
        ModelStore store = bundle.store();
        Classifier classifier = store.open(store.bundle().model("good"), 1);
        SampleSet samples = store.samples(store.bundle().samples.get(0));
        final int[] told = new int[1];
        Outputs.Progress count = new Outputs.Progress() {
            @Override
            public boolean stopAfter(int images, int of) {
                told[0]++;
                return images == 7;
            }
        };
        Inputs inputs = Inputs.of(samples, classifier.metadata.preprocessing);
        try {
            Outputs.measure(classifier.engine(), inputs, 0, count);
            fail("was not stopped");
        } catch (Fault fault) {
            assertEquals(7, told[0]);
        }
        told[0] = 100;
        Outputs outputs = Outputs.measure(classifier.engine(), inputs, 5, count);
        assertEquals(5, new Accuracy(outputs, samples).correct);
        try {
            Outputs.measure(classifier.engine(), inputs, 21, count);
            fail("21 of 20 images");
        } catch (Fault fault) {
            assertEquals(Fault.BAD_REQUEST, fault.code);
        }
        Accuracy accuracy = BenchmarkReportTest.run(bundle, false).accuracy;
        assertEquals(18, accuracy.correct);
        assertEquals(0.9, accuracy.top1(), 0);
        assertEquals(18, accuracy.mistakes.get(0).image);
        assertEquals(0, accuracy.mistakes.get(0).truth);
        assertEquals(8, accuracy.mistakes.get(0).answer);
    }

    @Test
    public void pushedInputsAreTheValuesThemselves() throws Exception {
        java.nio.ByteBuffer file = java.nio.ByteBuffer.allocate(2 * 3 * 4).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        file.asFloatBuffer().put(new float[] {1, 2, 3, -4.5f, 5, 6});
        Inputs inputs = Inputs.of(file.array(), 3);
        assertEquals(2, inputs.count());
        org.junit.Assert.assertArrayEquals(new float[] {-4.5f, 5, 6}, inputs.at(1), 0);
        for (int length : new int[] {0, 11, 20}) {
            try {
                Inputs.of(new byte[length], 3);
                fail(length + " bytes were taken");
            } catch (Fault fault) {
                assertEquals(Fault.BAD_REQUEST, fault.code);
            }
        }
    }

    @Test
    public void anotherArtifactThanTheCallerMeansIsRefused() throws Exception {
        Artifact artifact = Artifact.pushed("candidate.tflite", new byte[] {1, 2});
        artifact.check("");
        artifact.check(Digest.sha256(new byte[] {1, 2}));
        try {
            artifact.check(Digest.sha256(new byte[] {1, 3}));
            fail("taken");
        } catch (Fault fault) {
            assertEquals(Fault.WRONG_ARTIFACT, fault.code);
        }
    }

    @Test
    public void wrongBundlesAreRefusedWithThePlace() throws Exception {
        bundleRefused("schema", bundle.top, "schema", 2L);
        bundleRefused("models[0].file", bundle.model(0), "file", "../secret");
        bundleRefused("models[0].file", bundle.model(0), "file", "models/../../x");
        bundleRefused("models[0].file", bundle.model(0), "file", "/etc/passwd");
        bundleRefused("models[0].sha256", bundle.model(0), "sha256", "ABC");
        bundleRefused("models[1].threads", bundle.model(1), "threads", 0L);
        bundleRefused("models[0].name", bundle.model(0), "name", ".hidden");
        bundleRefused("models[0].trained", bundle.model(0), "trained", null);
        bundleRefused("models[0].top1", bundle.model(0), "top1", 92.45);
        bundleRefused("models[0].samples", bundle.model(0), "samples", "none-such");
        bundleRefused("two of model other", bundle.model(0), "name", "other");
        bundleRefused("samples[0].count", bundle.sampleSet(), "count", "20");
        Map<String, Object> emulated = new TreeMap<String, Object>();
        emulated.put("p50", 1.0);
        emulated.put("p90", 1.0);
        emulated.put("device", "an emulator");
        emulated.put("kind", "emulated");
        bundleRefused("measured_ms.kind", bundle.model(0), "measured_ms", emulated);
        bundleRefused("models", bundle.top, "models", Collections.emptyMap());
    }

    @Test
    public void noBundleIsAFault() throws Exception {
        try {
            new ModelStore(bundle, bundle);
            fail("opened nothing");
        } catch (Fault fault) {
            assertEquals(Fault.BAD_BUNDLE, fault.code);
        }
        try {
            bundle.store().bundle().model("none");
            fail("found");
        } catch (Fault fault) {
            assertEquals(Fault.UNKNOWN_MODEL, fault.code);
            assertTrue(fault.getMessage().contains("good"));
        }
    }

    private void bundleRefused(String place, Map<String, Object> entry, String key, Object value) {
        Object good = entry.get(key);
        entry.put(key, value);
        try {
            bundle.store();
            fail(key + " = " + value + " was taken");
        } catch (Fault fault) {
            assertEquals(Fault.BAD_BUNDLE, fault.code);
            assertTrue(fault.getMessage(), fault.getMessage().contains(place));
        }
        entry.put(key, good);
    }

    private void refused(String name, String code, String why) throws Exception {
        ModelStore store = bundle.store();
        try {
            store.open(store.bundle().model(name), 1);
            fail(name + " was opened");
        } catch (Fault fault) {
            assertEquals(fault.getMessage(), code, fault.code);
            assertTrue(fault.getMessage(), fault.getMessage().contains(why));
        }
    }

    private void samplesRefused(String code) throws Exception {
        ModelStore store = bundle.store();
        try {
            store.samples(store.bundle().samples.get(0));
            fail("read");
        } catch (Fault fault) {
            assertEquals(fault.getMessage(), code, fault.code);
        }
    }
}
