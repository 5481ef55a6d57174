package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Map;
import java.util.TreeMap;
import org.junit.Test;

/** An intent's extras: each value checked. */
public class BenchmarkRequestTest {
    private static Map<String, Object> extras(Object... pairs) {
        Map<String, Object> extras = new TreeMap<String, Object>();
        extras.put("model", "pixel-4-int8");
        for (int i = 0; i < pairs.length; i += 2) {
            extras.put((String) pairs[i], pairs[i + 1]);
        }
        return extras;
    }

    @Test
    public void whatIsNotSaidIsTheProtocol() throws Exception {
        BenchmarkRequest request = BenchmarkRequest.parse(extras());
        assertEquals("pixel-4-int8", request.model);
        assertEquals(0, request.threads);
        assertTrue(request.accuracy && request.latency && request.preflight);
        assertEquals(5, request.plan.sessions);
        assertEquals(100, request.plan.minRuns);
        assertEquals(10, request.plan.minSeconds, 0);
        assertEquals("benchmark", request.out);
    }

    @Test
    public void whatIsSaidIsTaken() throws Exception {
        BenchmarkRequest request = BenchmarkRequest.parse(extras("threads", 4, "run", "latency", "sessions", 3,
                "min_runs", 1024, "min_seconds", 60, "warmup_limit_seconds", 3, "preflight", false, "out", "night-1",
                "id", "A.b_c-9", "images", 200, "cool_wait_seconds", 0, "sha256", Digest.sha256(new byte[0]),
                "android.intent.extra.REFERRER", "a system's own"));
        assertEquals(4, request.threads);
        assertTrue(request.latency);
        assertFalse(request.accuracy || request.preflight);
        assertEquals(1024, request.plan.minRuns);
        assertEquals("night-1", request.out);
        assertEquals("A.b_c-9", request.id);
    }

    @Test
    public void wrongValuesAreNamed() {
        Object[][] wrong = {{"model", 3}, {"model", null}, {"model", "../etc"}, {"model", ".x"}, {"model", "A"},
            {"model", ""}, {"threads", 0}, {"threads", 17}, {"threads", "4"}, {"threads", 4L}, {"threads", -1},
            {"run", "both"}, {"sessions", 0}, {"sessions", 26}, {"min_runs", 0}, {"min_seconds", -1},
            {"min_seconds", 601}, {"min_seconds", 1.5f}, {"warmup_limit_seconds", 0}, {"preflight", "true"},
            {"out", "a/b"}, {"out", ".."}, {"out", "-x y"}, {"id", "a b"}, {"images", 0}, {"sha256", "abc"},
            {"cool_wait_seconds", 1801}, {"thread", 4}, {"inputs", "../x"}, {"file", "other.tflite"}, {"threads", new int[] {4}}};
        for (Object[] pair : wrong) {
            try {
                BenchmarkRequest.parse(extras(pair));
                fail(pair[0] + " = " + pair[1] + " was taken");
            } catch (Fault fault) {
                assertEquals(Fault.BAD_REQUEST, fault.code);
                assertTrue(fault.getMessage(), fault.getMessage().contains((String) pair[0]));
            }
        }
    }

    @Test
    public void aModelIsNeeded() {
        try {
            BenchmarkRequest.parse(new TreeMap<String, Object>());
            fail("taken without a model");
        } catch (Fault fault) {
            assertTrue(fault.getMessage().contains("--es model"));
        }
    }

    @Test
    public void aPushedFileNeedsItsDigest() throws Exception {
        Map<String, Object> extras = extras("file", "Candidate-1.tflite", "inputs", "test.f32");
        extras.remove("model");
        try {
            BenchmarkRequest.parse(extras);
            fail("taken without a digest");
        } catch (Fault fault) {
            assertTrue(fault.getMessage().contains("sha256"));
        }
        extras.put("sha256", Digest.sha256(new byte[0]));
        BenchmarkRequest request = BenchmarkRequest.parse(extras);
        assertEquals("Candidate-1.tflite", request.file);
        assertEquals("test.f32", request.inputs);
        assertEquals("", request.model);
    }

    @Test
    public void evenABadRequestHasAPlaceForItsError() {
        assertEquals("mine", BenchmarkRequest.outOf(extras("out", "mine", "threads", -1)));
        assertEquals("benchmark", BenchmarkRequest.outOf(extras("out", "../../x")));
        assertEquals("benchmark", BenchmarkRequest.outOf(extras("out", 7)));
        assertEquals("n-1", BenchmarkRequest.idOf(extras("id", "n-1")));
        assertEquals("", BenchmarkRequest.idOf(extras("id", "a\nb")));
    }
}
