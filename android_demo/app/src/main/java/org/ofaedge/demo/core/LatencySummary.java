package org.ofaedge.demo.core;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The figures over all sessions: `device.measuring.samples.summarise`. Milliseconds. */
public final class LatencySummary {
    private static final int P99_FROM = 1000; // samples; fewer do not know their 99th percentile

    public final double p50;
    public final double p90;
    /** Null under 1,000 samples. */
    public final Double p99;
    public final double min;
    public final double mad;
    public final double low95;
    public final double high95;
    public final int runs;
    public final int sessions;
    public final double loadMs;
    public final double firstMs;
    public final boolean settled;

    /** Percentiles are medians over sessions, so that one long or odd session does not outvote the others. */
    public LatencySummary(List<LatencySession> all) throws Fault {
        sessions = all.size();
        double[] medians = new double[sessions];
        double[] nineties = new double[sessions];
        double[] loads = new double[sessions];
        double[] firsts = new double[sessions];
        int total = 0;
        boolean steady = true;
        for (int i = 0; i < sessions; i++) {
            LatencySession session = all.get(i);
            if (session.samples.length == 0) {
                throw new Fault(Fault.FAILED, "a session gave no samples");
            }
            double[] ms = milliseconds(session.samples);
            medians[i] = Statistics.median(ms);
            nineties[i] = Statistics.percentile(ms, 90);
            loads[i] = session.loadNanos / 1e6;
            firsts[i] = session.firstNanos / 1e6;
            total += ms.length;
            steady &= session.settled;
        }
        if (sessions == 0) {
            throw new Fault(Fault.FAILED, "no sessions");
        }
        double[] everything = join(all, total);
        double[] interval = Statistics.bootstrapInterval(medians);
        p50 = Statistics.median(medians);
        p90 = Statistics.median(nineties);
        p99 = total >= P99_FROM ? Double.valueOf(Statistics.percentile(everything, 99)) : null;
        min = Statistics.percentile(everything, 0);
        mad = Statistics.mad(everything);
        low95 = interval[0];
        high95 = interval[1];
        runs = total;
        loadMs = Statistics.median(loads);
        firstMs = Statistics.median(firsts);
        settled = steady;
    }

    private static double[] milliseconds(long[] nanos) {
        double[] ms = new double[nanos.length];
        for (int i = 0; i < ms.length; i++) {
            ms[i] = nanos[i] / 1e6;
        }
        return ms;
    }

    private static double[] join(List<LatencySession> all, int total) {
        double[] ms = new double[total];
        int at = 0;
        for (LatencySession session : all) {
            for (long nanos : session.samples) {
                ms[at++] = nanos / 1e6;
            }
        }
        return ms;
    }

    /** The toolkit's `LatencyMeasurement`. */
    Map<String, Object> toJson() {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("p50", p50);
        json.put("p90", p90);
        json.put("min", min);
        json.put("mad", mad);
        json.put("low95", low95);
        json.put("high95", high95);
        json.put("runs", runs);
        json.put("sessions", sessions);
        return json;
    }
}
