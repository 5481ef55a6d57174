package org.ofaedge.demo.core;

/** A loaded model with its own preprocessing and class names. Not for several threads at once. */
public final class Classifier implements AutoCloseable {
    public final ModelMetadata metadata;
    public final long loadNanos;
    private final Engine engine;

    Classifier(ModelMetadata metadata, Engine engine, long loadNanos) throws Fault {
        metadata.check(engine);
        this.metadata = metadata;
        this.engine = engine;
        this.loadNanos = loadNanos;
    }

    public Engine engine() {
        return engine;
    }

    /** A picture from outside: its central square. */
    public Answer picture(Image image) throws Fault {
        long start = System.nanoTime();
        return run(metadata.preprocessing.picture(image), start);
    }

    /** An image of a data set, whole. */
    public Answer whole(Image image) throws Fault {
        long start = System.nanoTime();
        return run(metadata.preprocessing.whole(image), start);
    }

    private Answer run(float[] values, long start) throws Fault {
        engine.set(values);
        long nanos = engine.invoke();
        float[] logits = engine.get();
        return new Answer(logits, nanos, System.nanoTime() - start);
    }

    @Override
    public void close() {
        engine.close();
    }
}
