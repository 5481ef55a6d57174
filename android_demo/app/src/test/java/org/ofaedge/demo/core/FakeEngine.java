package org.ofaedge.demo.core;

/** An engine without a network, which moves its own clock: input [1, 28, 28, 1] int8, output [1, 10] float. */
final class FakeEngine implements Engine, LatencySession.Clock {
    int[] outputShape = {1, 10};
    int[] inputShape = {1, 28, 28, 1};
    boolean closed;
    private final double growth;
    private double next;
    private long now;
    private float last;

    FakeEngine(long nanos, double growth) {
        this.next = nanos;
        this.growth = growth;
    }

    @Override
    public Tensor input() {
        return new Tensor(Tensor.INT8, inputShape, 784, 0.01f, 0);
    }

    @Override
    public Tensor output() {
        return new Tensor(Tensor.FLOAT32, outputShape, 40, 0, 0);
    }

    @Override
    public void set(float[] values) {
        last = values[0];
    }

    @Override
    public long invoke() {
        long took = (long) next;
        next *= 1 + growth;
        now += took;
        return took;
    }

    /** The brighter the first pixel, the higher the class: 0 for black, 9 for white. */
    @Override
    public float[] get() {
        float[] logits = new float[10];
        int best = (int) Math.max(0, Math.min(9, (last + 0.81f) * 3.53f));
        logits[best] = 1;
        return logits;
    }

    @Override
    public int operators() {
        return 3;
    }

    @Override
    public int undelegatedOperators() {
        return 0;
    }

    @Override
    public void close() {
        closed = true;
    }

    @Override
    public long nanos() {
        return now;
    }
}
