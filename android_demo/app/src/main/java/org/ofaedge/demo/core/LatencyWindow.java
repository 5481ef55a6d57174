package org.ofaedge.demo.core;

/** Median and p90 over the last few inferences, in milliseconds. */
public final class LatencyWindow {
    private final long[] nanos;
    private int count;

    public LatencyWindow(int length) {
        nanos = new long[length];
    }

    public void add(long value) {
        nanos[count++ % nanos.length] = value;
    }

    public void clear() {
        count = 0;
    }

    public int size() {
        return Math.min(count, nanos.length);
    }

    public double percentileMs(double percent) {
        double[] ms = new double[size()];
        for (int i = 0; i < ms.length; i++) {
            ms[i] = nanos[i] / 1e6;
        }
        return Statistics.percentile(ms, percent);
    }
}
