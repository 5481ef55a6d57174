package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.Test;

/** The result file. Python holds its `measurement` against the toolkit's own type: tests/android/test_demo_core.py. */
public class BenchmarkReportTest {
    static BenchmarkReport.Run run(TestBundle bundle, boolean alien) throws Exception {
        ModelStore store = bundle.store();
        BenchmarkReport.Run run = new BenchmarkReport.Run();
        run.request = BenchmarkRequest.parse(Collections.<String, Object>singletonMap("model", "good"));
        run.artifact = Artifact.bundled(store.bundle().model("good"));
        run.runtime = store.runtime();
        run.threads = 4;
        run.operators = 3;
        run.outputsFile = "benchmark.logits.f32";
        run.wallNanos = 5000000;
        Classifier classifier = store.open(store.bundle().model("good"), 4);
        SampleSet samples = store.samples(store.bundle().samples.get(0));
        Inputs inputs = Inputs.of(samples, classifier.metadata.preprocessing);
        run.outputs = Outputs.measure(classifier.engine(), inputs, 0, new Outputs.Progress() {
            @Override
            public boolean stopAfter(int images, int of) {
                return false;
            }
        });
        run.accuracy = new Accuracy(run.outputs, samples);
        float[] values = inputs.at(alien ? 5 : 0);
        for (int i = 0; i < 5; i++) {
            run.sessions.add(LatencySession.measure(bundle.engine, values, classifier.loadNanos,
                    new LatencyPlan(1, 20, 0, 1), bundle.engine));
        }
        return run;
    }

    static BenchmarkReport.Device device(boolean emulated) {
        Map<String, String> build = new TreeMap<String, String>();
        build.put("hardware", emulated ? "ranchu" : "flame");
        BenchmarkReport.Device device = new BenchmarkReport.Device();
        device.name = "Google Pixel 4";
        device.kind = DeviceKind.of(build, "aarch64", "");
        device.fingerprint.put("arch", "aarch64");
        device.fingerprint.put("cpu", "implementer 0x51 part 0x805");
        device.conditions.put("thermal_before", 0);
        return device;
    }

    @Test
    public void aPhonesReportHasMilliseconds() throws Exception {
        Map<String, Object> json = BenchmarkReport.finished(run(new TestBundle(), false), device(false), "0.1.0");
        json = readBack(json);
        assertEquals("ok", json.get("status"));
        assertNull(json.get("error"));
        Map<?, ?> measurement = (Map<?, ?>) json.get("measurement");
        assertEquals("physical", measurement.get("kind"));
        assertEquals(1.0, ((Map<?, ?>) measurement.get("latency_ms")).get("p50"));
        assertEquals(100L, ((Map<?, ?>) measurement.get("latency_ms")).get("runs"));
        assertNull(measurement.get("emulation_wall_ms"));
        Map<?, ?> accuracy = (Map<?, ?>) json.get("accuracy");
        assertEquals(0.9, accuracy.get("top1"));
        assertEquals(20, ((List<?>) accuracy.get("answers")).size());
        assertEquals(10L, ((Map<?, ?>) json.get("outputs")).get("classes"));
        assertEquals(5, ((List<?>) ((Map<?, ?>) json.get("latency")).get("samples_ns")).size());
        assertTrue(Digest.isSha256((String) ((Map<?, ?>) json.get("artifact")).get("sha256")));
    }

    @Test
    public void anEmulatorsReportHasNone() throws Exception {
        Map<String, Object> json = BenchmarkReport.finished(run(new TestBundle(), false), device(true), "0.1.0");
        Map<?, ?> measurement = (Map<?, ?>) readBack(json).get("measurement");
        assertEquals("emulated", measurement.get("kind"));
        assertNull(measurement.get("latency_ms"));
        assertNull(json.get("latency"));
        assertEquals(5.0, measurement.get("emulation_wall_ms"));
        assertNotNull(json.get("accuracy"));
    }

    @Test
    public void timedRunsMustAnswerTheSame() throws Exception {
        try {
            BenchmarkReport.finished(run(new TestBundle(), true), device(false), "0.1.0");
            fail("two networks in one report");
        } catch (Fault fault) {
            assertEquals(Fault.FAILED, fault.code);
        }
    }

    @Test
    public void anErrorIsAReportToo() throws Exception {
        Fault fault = new Fault(Fault.BAD_REQUEST, "threads is Integer 0");
        Map<String, Object> json = readBack(BenchmarkReport.failed(fault, "n-1", "0.1.0", new TreeMap<String, Object>()));
        assertEquals("error", json.get("status"));
        assertEquals("n-1", json.get("id"));
        assertEquals("bad-request", ((Map<?, ?>) json.get("error")).get("code"));
        for (String code : new String[] {Fault.BATTERY_LOW, Fault.TOO_HOT, Fault.THROTTLED}) {
            json = BenchmarkReport.failed(new Fault(code, ""), "", "0.1.0", new TreeMap<String, Object>());
            assertEquals("inconclusive", json.get("status"));
        }
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> readBack(Map<String, Object> json) throws Fault {
        return (Map<String, Object>) Json.read(Json.write(json), Fault.FAILED);
    }
}
