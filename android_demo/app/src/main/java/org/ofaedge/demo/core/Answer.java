package org.ofaedge.demo.core;

/** What a network says of one image: its logits, and how long it took. */
public final class Answer {
    public final float[] logits;
    /** The native call alone. */
    public final long nativeNanos;
    /** Preprocessing, copies and the native call. */
    public final long wholeNanos;

    Answer(float[] logits, long nativeNanos, long wholeNanos) {
        this.logits = logits;
        this.nativeNanos = nativeNanos;
        this.wholeNanos = wholeNanos;
    }

    /** The class of the highest logit; the first of equals, as numpy's argmax. */
    public int top() {
        return top(1)[0];
    }

    /** The classes of the highest logits, best first, the lower class first among equals. */
    public int[] top(int count) {
        int[] best = new int[Math.min(count, logits.length)];
        boolean[] taken = new boolean[logits.length];
        for (int i = 0; i < best.length; i++) {
            best[i] = -1;
            for (int k = 0; k < logits.length; k++) {
                if (!taken[k] && (best[i] < 0 || logits[k] > logits[best[i]])) {
                    best[i] = k;
                }
            }
            taken[best[i]] = true;
        }
        return best;
    }

    /** Softmax of the logits, in float64. */
    public double[] probabilities() {
        double most = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            most = Math.max(most, logit);
        }
        double[] shares = new double[logits.length];
        double sum = 0;
        for (int i = 0; i < shares.length; i++) {
            shares[i] = Math.exp(logits[i] - most);
            sum += shares[i];
        }
        for (int i = 0; i < shares.length; i++) {
            shares[i] /= sum;
        }
        return shares;
    }
}
