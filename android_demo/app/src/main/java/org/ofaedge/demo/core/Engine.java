package org.ofaedge.demo.core;

/** One loaded model: one image in, one row of logits out. Not for several threads at once. */
public interface Engine extends AutoCloseable {
    Tensor input();

    Tensor output();

    /** Stores normalised values [height, width, channel] in the input tensor. */
    void set(float[] values) throws Fault;

    /** Runs the network on what is set: the native call and nothing else. Nanoseconds. */
    long invoke() throws Fault;

    /** The logits of the last run, as real numbers. */
    float[] get() throws Fault;

    /** Operators of the model. */
    int operators();

    /** Operators that no delegate runs: each is a slow path. */
    int undelegatedOperators();

    @Override
    void close();

    /** Makes engines. */
    interface Factory {
        Engine open(byte[] model, int threads) throws Fault;

        /** Name and version of the runtime. */
        String runtime();
    }
}
