package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model's answers to labelled images, image by image. */
public final class Accuracy {
    public final String samples;
    public final int images;
    public final int correct;
    public final int classes;
    public final List<Mistake> mistakes;
    final long[] answers;
    final long[] truths;
    /** [images * classes], row by row. */
    final float[] logits;

    private Accuracy(String samples, long[] truths, long[] answers, float[] logits, List<Mistake> mistakes) {
        this.samples = samples;
        this.images = answers.length;
        this.correct = answers.length - mistakes.size();
        this.classes = logits.length / answers.length;
        this.truths = truths;
        this.answers = answers;
        this.logits = logits;
        this.mistakes = Collections.unmodifiableList(mistakes);
    }

    /** One image that was not recognised. */
    public static final class Mistake {
        public final int image;
        public final int truth;
        public final int answer;

        Mistake(int image, int truth, int answer) {
            this.image = image;
            this.truth = truth;
            this.answer = answer;
        }
    }

    /** Told after each image; says whether to stop. */
    public interface Progress {
        boolean stopAfter(int images, int of);
    }

    /** Runs the first `count` images (0: all); throws Fault (failed) where it was stopped. */
    public static Accuracy measure(Classifier classifier, SampleSet set, int count, Progress progress) throws Fault {
        if (count > set.count) {
            throw new Fault(Fault.BAD_REQUEST, "images is " + count + "; " + set.name() + " has " + set.count);
        }
        int total = count == 0 ? set.count : count;
        int classes = classifier.metadata.classes;
        long[] truths = new long[total];
        long[] answers = new long[total];
        float[] logits = new float[total * classes];
        List<Mistake> mistakes = new ArrayList<Mistake>();
        for (int i = 0; i < total; i++) {
            Answer answer = classifier.whole(set.image(i));
            truths[i] = set.label(i);
            answers[i] = answer.top();
            System.arraycopy(answer.logits, 0, logits, i * classes, classes);
            if (truths[i] != answers[i]) {
                mistakes.add(new Mistake(i, (int) truths[i], (int) answers[i]));
            }
            if (progress.stopAfter(i + 1, total)) {
                throw new Fault(Fault.FAILED, "stopped after " + (i + 1) + " of " + total + " images");
            }
        }
        return new Accuracy(set.name(), truths, answers, logits, mistakes);
    }

    public double top1() {
        return (double) correct / images;
    }

    /** The logits as little-endian float32, row by row: what numpy.fromfile reads. */
    public byte[] logitBytes() {
        java.nio.ByteBuffer bytes = java.nio.ByteBuffer.allocate(4 * logits.length);
        bytes.order(java.nio.ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(logits);
        return bytes.array();
    }

    Map<String, Object> toJson(String outputs, byte[] content) {
        List<Object> list = new ArrayList<Object>();
        for (Mistake mistake : mistakes) {
            list.add(new long[] {mistake.image, mistake.truth, mistake.answer});
        }
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("samples", samples);
        json.put("images", images);
        json.put("correct", correct);
        json.put("top1", top1());
        json.put("truths", truths);
        json.put("answers", answers);
        json.put("mistakes", list);
        json.put("classes", classes);
        json.put("logits_file", outputs);
        json.put("logits_sha256", Digest.sha256(content));
        return json;
    }
}
