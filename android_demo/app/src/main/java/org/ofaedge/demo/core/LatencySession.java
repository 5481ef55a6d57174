package org.ofaedge.demo.core;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One session's samples: first inference, warm-up until it is steady, then timed runs. */
public final class LatencySession {
    public final long loadNanos;
    public final long firstNanos;
    public final int warmupRuns;
    /** Whether the warm-up reached a steady state. */
    public final boolean settled;
    public final long[] samples;
    /** The logits of the last timed run. */
    public final float[] logits;

    LatencySession(long load, long first, int warmupRuns, boolean settled, long[] samples, float[] logits) {
        this.loadNanos = load;
        this.firstNanos = first;
        this.warmupRuns = warmupRuns;
        this.settled = settled;
        this.samples = samples;
        this.logits = logits;
    }

    /** Time that can be replaced in tests; nanoseconds that only go up. */
    public interface Clock {
        long nanos();
    }

    /** The clock of the machine. */
    public static final Clock CLOCK = new Clock() {
        @Override
        public long nanos() {
            return System.nanoTime();
        }
    };

    /** Measures on one image's values, by the steps of the toolkit's own runner. */
    public static LatencySession measure(Engine engine, float[] values, long loadNanos, LatencyPlan plan, Clock clock)
            throws Fault {
        engine.set(values);
        long first = engine.invoke();
        long[] warm = new long[1024];
        int runs = 0;
        boolean settled = false;
        long begin = clock.nanos();
        while (!settled && seconds(clock, begin) < plan.warmupLimitSeconds) {
            warm = put(warm, runs++, engine.invoke());
            if (runs >= LatencyPlan.WARMUP_RUNS && seconds(clock, begin) >= LatencyPlan.WARMUP_SECONDS) {
                double before = median(warm, runs - 20, runs - 10);
                double now = median(warm, runs - 10, runs);
                settled = Math.abs(now - before) <= LatencyPlan.TOLERANCE * before;
            }
        }
        long[] samples = new long[1024];
        int count = 0;
        begin = clock.nanos();
        while ((count < plan.minRuns || seconds(clock, begin) < plan.minSeconds) && count < LatencyPlan.MOST_RUNS) {
            samples = put(samples, count++, engine.invoke());
        }
        return new LatencySession(loadNanos, first, runs, settled, Arrays.copyOf(samples, count), engine.get());
    }

    private static double seconds(Clock clock, long begin) {
        return (clock.nanos() - begin) / 1e9;
    }

    private static long[] put(long[] array, int index, long value) {
        long[] large = index < array.length ? array : Arrays.copyOf(array, 2 * array.length);
        large[index] = value;
        return large;
    }

    private static double median(long[] values, int from, int to) {
        double[] part = new double[to - from];
        for (int i = from; i < to; i++) {
            part[i - from] = values[i];
        }
        return Statistics.median(part);
    }

    /** For the way from one process to the other. */
    public Map<String, Object> toJson() {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("load_ns", loadNanos);
        json.put("first_ns", firstNanos);
        json.put("warmup_runs", warmupRuns);
        json.put("settled", settled);
        json.put("latency_ns", samples);
        List<Object> list = new java.util.ArrayList<Object>();
        for (float logit : logits) {
            list.add((double) logit);
        }
        json.put("logits", list);
        return json;
    }

    /** Inverse of {@link #toJson}; throws Fault (failed). */
    public static LatencySession ofJson(Map<?, ?> json) throws Fault {
        try {
            List<?> list = (List<?>) json.get("latency_ns");
            long[] samples = new long[list.size()];
            for (int i = 0; i < samples.length; i++) {
                samples[i] = (Long) list.get(i);
            }
            List<?> answer = (List<?>) json.get("logits");
            float[] logits = new float[answer.size()];
            for (int i = 0; i < logits.length; i++) {
                logits[i] = ((Number) answer.get(i)).floatValue();
            }
            long runs = (Long) json.get("warmup_runs");
            return new LatencySession((Long) json.get("load_ns"), (Long) json.get("first_ns"), (int) runs,
                    (Boolean) json.get("settled"), samples, logits);
        } catch (ClassCastException | NullPointerException error) {
            throw new Fault(Fault.FAILED, "a session's result is not readable", error);
        }
    }
}
