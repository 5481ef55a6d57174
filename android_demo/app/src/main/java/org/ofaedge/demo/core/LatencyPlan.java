package org.ofaedge.demo.core;

/** How latency is sampled: `ofa_edge.device.protocol.LatencyPlan`. The session, a new process, is the unit of evidence. */
public final class LatencyPlan {
    public final int sessions;
    public final int minRuns;
    public final double minSeconds;
    public final double warmupLimitSeconds;
    /** Warm-up runs at the least, and seconds. */
    static final int WARMUP_RUNS = 20;
    static final double WARMUP_SECONDS = 0.5;
    /** Of the median of the last 10 runs against the 10 before. */
    static final double TOLERANCE = 0.02;
    /** Raw samples kept of one session: a stop for networks of microseconds and wishes of minutes. */
    static final int MOST_RUNS = 1 << 18;

    public LatencyPlan(int sessions, int minRuns, double minSeconds, double warmupLimitSeconds) {
        this.sessions = sessions;
        this.minRuns = minRuns;
        this.minSeconds = minSeconds;
        this.warmupLimitSeconds = warmupLimitSeconds;
    }
}
