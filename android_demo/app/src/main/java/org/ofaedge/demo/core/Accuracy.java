package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model's answers to labelled images against the truth, image by image. */
public final class Accuracy {
    public final String samples;
    public final int images;
    public final int correct;
    public final List<Mistake> mistakes;
    private final long[] truths;
    private final long[] answers;

    /** Of the outputs of the first images of a set. */
    public Accuracy(Outputs outputs, SampleSet set) {
        List<Mistake> wrong = new ArrayList<Mistake>();
        samples = set.name();
        images = outputs.images;
        truths = new long[images];
        answers = new long[images];
        for (int i = 0; i < images; i++) {
            truths[i] = set.label(i);
            answers[i] = new Answer(outputs.at(i), 0, 0).top();
            if (truths[i] != answers[i]) {
                wrong.add(new Mistake(i, (int) truths[i], (int) answers[i]));
            }
        }
        correct = images - wrong.size();
        mistakes = Collections.unmodifiableList(wrong);
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

    public double top1() {
        return (double) correct / images;
    }

    Map<String, Object> toJson() {
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
        return json;
    }
}
