package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The one JSON file of a benchmark. Its `measurement` is the toolkit's own `DeviceMeasurement` (records/manifest.py),
 * key by key; around it stand the artifact's digest, the answers, and the raw samples.
 */
public final class BenchmarkReport {
    public static final int SCHEMA = 1;

    private BenchmarkReport() {}

    /** What was found on the device. All texts: the toolkit's fingerprint is one of texts. */
    public static final class Device {
        public String name = "";
        public DeviceKind kind;
        public Map<String, String> fingerprint = new TreeMap<String, String>();
        /** Before, during and after: battery, thermal status, memory; JSON. */
        public Map<String, Object> conditions = new TreeMap<String, Object>();
    }

    /** A run that came to its end, with what it found. */
    public static final class Run {
        public BenchmarkRequest request;
        public Artifact artifact;
        public String runtime = "";
        public int threads;
        public int operators;
        public int undelegated;
        /** Null where no pass over images was made. */
        public Outputs outputs;
        public String outputsFile = "";
        /** Null where the images have no labels. */
        public Accuracy accuracy;
        public List<LatencySession> sessions = new ArrayList<LatencySession>();
        /** Wall time of the pass over the images. */
        public long wallNanos;
        public List<String> notes = new ArrayList<String>();
    }

    /** The report of a finished run. An emulated device gives no milliseconds, whatever was sampled. */
    public static Map<String, Object> finished(Run run, Device device, String app) throws Fault {
        LatencySummary latency = null;
        if (run.request.latency && !device.kind.emulated) {
            latency = new LatencySummary(run.sessions);
            checkSameAnswers(run);
        }
        Map<String, Object> json = head(app, run.request.id);
        json.put("status", "ok");
        json.put("request", run.request.toJson(run.threads));
        json.put("artifact", run.artifact.toJson());
        json.put("measurement", measurement(run, device, latency));
        json.put("latency", latency == null ? null : details(run, latency));
        json.put("outputs", run.outputs == null ? null : run.outputs.toJson(run.outputsFile));
        json.put("accuracy", run.accuracy == null ? null : run.accuracy.toJson());
        json.put("conditions", device.conditions);
        return json;
    }

    /** The report of a run that gave no result: status "error", or "inconclusive" where the device was not fit. */
    public static Map<String, Object> failed(Fault fault, String id, String app, Map<String, Object> conditions) {
        boolean unfit = fault.code.equals(Fault.BATTERY_LOW) || fault.code.equals(Fault.TOO_HOT)
                || fault.code.equals(Fault.THROTTLED);
        Map<String, Object> error = new LinkedHashMap<String, Object>();
        error.put("code", fault.code);
        error.put("reason", String.valueOf(fault.getMessage()));
        Map<String, Object> json = head(app, id);
        json.put("status", unfit ? "inconclusive" : "error");
        json.put("error", error);
        json.put("conditions", conditions);
        return json;
    }

    private static Map<String, Object> head(String app, String id) {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("schema", SCHEMA);
        json.put("tool", "org.ofaedge.demo");
        json.put("version", app);
        json.put("id", id);
        json.put("error", null);
        return json;
    }

    private static Map<String, Object> measurement(Run run, Device device, LatencySummary latency) {
        Map<String, Object> prints = new TreeMap<String, Object>(device.fingerprint);
        prints.put("device_kind", device.kind.name());
        prints.put("kind_evidence", device.kind.evidence);
        Map<String, Object> runner = new TreeMap<String, Object>();
        runner.put("version", run.runtime);
        runner.put("threads", run.threads);
        runner.put("operators", run.operators);
        runner.put("delegated_operators", run.operators - run.undelegated);
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("name", device.name);
        json.put("kind", device.kind.name());
        json.put("connection", "android-app");
        json.put("fingerprint", prints);
        json.put("runner", runner);
        json.put("latency_ms", latency == null ? null : latency.toJson());
        json.put("instructions_per_inference", null);
        json.put("emulation_wall_ms", device.kind.emulated && run.outputs != null ? run.wallNanos / 1e6 : null);
        json.put("note", join(run.notes));
        return json;
    }

    private static Map<String, Object> details(Run run, LatencySummary latency) {
        List<Object> samples = new ArrayList<Object>();
        List<Object> warmups = new ArrayList<Object>();
        for (LatencySession session : run.sessions) {
            samples.add(session.samples);
            warmups.add((long) session.warmupRuns);
        }
        Map<String, Object> json = latency.toJson();
        json.put("p99", latency.p99);
        json.put("load_ms", latency.loadMs);
        json.put("first_ms", latency.firstMs);
        json.put("threads", run.threads);
        json.put("settled", latency.settled);
        json.put("warmup_runs", warmups);
        json.put("samples_ns", samples);
        return json;
    }

    /** Figures of runs that answered differently are not about one network. */
    private static void checkSameAnswers(Run run) throws Fault {
        float[] wanted = run.outputs != null ? run.outputs.at(0) : run.sessions.get(0).logits;
        for (LatencySession session : run.sessions) {
            for (int i = 0; i < wanted.length; i++) {
                double most = 1e-5 + 1e-4 * Math.abs(wanted[i]);
                if (session.logits.length != wanted.length || !(Math.abs(session.logits[i] - wanted[i]) <= most)) {
                    throw new Fault(Fault.FAILED, "the timed runs answered differently from the pass over the images");
                }
            }
        }
    }

    private static String join(List<String> notes) {
        StringBuilder text = new StringBuilder();
        for (String note : notes) {
            text.append(text.length() == 0 ? "" : "; ").append(note);
        }
        return text.toString();
    }
}
