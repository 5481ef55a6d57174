package org.ofaedge.demo.core;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a benchmark is to do. Made from an intent's extras, each value checked: see {@link #parse}. */
public final class BenchmarkRequest {
    public static final int MOST_THREADS = 16;
    /** Of pushed files: no path, no hidden name. */
    private static final String FILE = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
    public static final String DEFAULT_OUT = "benchmark";

    /** A bundled model's name, or "" where `file` is given. */
    public final String model;
    /** A model file that adb has pushed, or "". */
    public final String file;
    /** A file of inputs that adb has pushed, or "": the bundled samples then. */
    public final String inputs;
    /** 0: as the model's target says. */
    public final int threads;
    public final boolean accuracy;
    public final boolean latency;
    /** 0: all there are. */
    public final int images;
    public final LatencyPlan plan;
    /** Whether battery and temperature are looked at before. */
    public final boolean preflight;
    public final int coolWaitSeconds;
    /** The artifact that the caller means, or "". */
    public final String sha256;
    /** Given back in the result, so that a caller knows its own; or "". */
    public final String id;
    /** Name of the result, without the suffix. */
    public final String out;

    private BenchmarkRequest(Extras extras) throws Fault {
        model = extras.text("model", "", Fields.NAME);
        file = extras.text("file", "", FILE);
        inputs = extras.text("inputs", "", FILE);
        threads = extras.whole("threads", 0, 1, MOST_THREADS);
        String run = extras.text("run", "all", "all|accuracy|latency");
        accuracy = !run.equals("latency");
        latency = !run.equals("accuracy");
        images = extras.whole("images", 0, 1, 1 << 20);
        plan = new LatencyPlan(extras.whole("sessions", 5, 1, 25), extras.whole("min_runs", 100, 1, 100000),
                extras.whole("min_seconds", 10, 0, 600), extras.whole("warmup_limit_seconds", 10, 1, 60));
        preflight = extras.flag("preflight", true);
        coolWaitSeconds = extras.whole("cool_wait_seconds", 120, 0, 1800);
        sha256 = extras.text("sha256", "", "|[0-9a-f]{64}");
        id = extras.text("id", "", "[A-Za-z0-9._-]{0,64}");
        out = extras.text("out", DEFAULT_OUT, Fields.NAME);
        extras.refuseOthers();
        if (model.isEmpty() == file.isEmpty()) {
            throw new Fault(Fault.BAD_REQUEST, "give --es model NAME, or --es file NAME of a pushed file: one of the two");
        }
        if (!file.isEmpty() && sha256.isEmpty()) {
            throw new Fault(Fault.BAD_REQUEST, "sha256 is missing: a pushed file is taken by its digest only");
        }
    }

    /** Throws Fault (bad-request) that names the extra, what it was, and what it may be. */
    public static BenchmarkRequest parse(Map<String, Object> extras) throws Fault {
        return new BenchmarkRequest(new Extras(extras));
    }

    /** The name under which even the error of a bad request is written: "out" where that is good. */
    public static String outOf(Map<String, Object> extras) {
        Object out = extras.get("out");
        return out instanceof String && Fields.isName((String) out) ? (String) out : DEFAULT_OUT;
    }

    /** The caller's id where it is one, else "". */
    public static String idOf(Map<String, Object> extras) {
        Object id = extras.get("id");
        return id instanceof String && ((String) id).matches("[A-Za-z0-9._-]{0,64}") ? (String) id : "";
    }

    Map<String, Object> toJson(int threadsUsed) {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("model", model);
        json.put("file", file);
        json.put("inputs", inputs);
        json.put("threads", threadsUsed);
        json.put("run", accuracy && latency ? "all" : accuracy ? "accuracy" : "latency");
        json.put("images", images);
        json.put("sessions", plan.sessions);
        json.put("min_runs", plan.minRuns);
        json.put("min_seconds", plan.minSeconds);
        json.put("warmup_limit_seconds", plan.warmupLimitSeconds);
        json.put("preflight", preflight);
        json.put("cool_wait_seconds", coolWaitSeconds);
        json.put("out", out);
        return json;
    }

    /** Extras by name, each read as the one type that it may have. */
    private static final class Extras {
        private static final List<String> KNOWN = Arrays.asList("model", "file", "inputs", "threads", "run", "images",
                "sessions", "min_runs", "min_seconds", "warmup_limit_seconds", "preflight", "cool_wait_seconds",
                "sha256", "id", "out");
        private final Map<String, Object> values;

        Extras(Map<String, Object> values) {
            this.values = values;
        }

        String text(String name, String missing, String pattern) throws Fault {
            if (!values.containsKey(name)) {
                return missing;
            }
            Object value = values.get(name);
            if (!(value instanceof String) || !((String) value).matches(pattern)) {
                throw wrong(name, value, "--es, matching " + pattern);
            }
            return (String) value;
        }

        int whole(String name, int missing, int low, int high) throws Fault {
            if (!values.containsKey(name)) {
                return missing;
            }
            Object value = values.get(name);
            if (!(value instanceof Integer) || (Integer) value < low || (Integer) value > high) {
                throw wrong(name, value, "--ei, from " + low + " to " + high);
            }
            return (Integer) value;
        }

        boolean flag(String name, boolean missing) throws Fault {
            if (!values.containsKey(name)) {
                return missing;
            }
            Object value = values.get(name);
            if (!(value instanceof Boolean)) {
                throw wrong(name, value, "--ez, true or false");
            }
            return (Boolean) value;
        }

        /** A misspelt name would otherwise be a default in silence. The system's own extras have dots in their names. */
        void refuseOthers() throws Fault {
            for (String name : values.keySet()) {
                if (!KNOWN.contains(name) && name.indexOf('.') < 0) {
                    throw new Fault(Fault.BAD_REQUEST, "no extra is called " + cut(name) + "; there are: " + KNOWN);
                }
            }
        }

        private static Fault wrong(String name, Object value, String wanted) {
            String type = value == null ? "null" : value.getClass().getSimpleName() + " " + cut(value.toString());
            return new Fault(Fault.BAD_REQUEST, name + " is " + type + "; wanted " + wanted);
        }

        private static String cut(String text) {
            return text.length() <= 80 ? text : text.substring(0, 80) + "...";
        }
    }
}
