package org.ofaedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.junit.Test;

/** The best classes and their shares. */
public class AnswerTest {
    @Test
    public void theBestComeFirstAndEqualsInTheirOrder() {
        Answer answer = new Answer(new float[] {1, 3, 3, -2}, 0, 0);
        assertArrayEquals(new int[] {1, 2, 0}, answer.top(3));
        assertEquals(1, answer.top());
        assertEquals(4, answer.top(9).length);
    }

    @Test
    public void sharesAreTheSoftmax() {
        double[] shares = new Answer(new float[] {1000, 999, 0}, 0, 0).probabilities();
        assertEquals(1 / (1 + Math.exp(-1)), shares[0], 1e-12);
        assertEquals(1, shares[0] + shares[1] + shares[2], 1e-12);
    }
}
