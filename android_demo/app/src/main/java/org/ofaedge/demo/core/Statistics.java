package org.ofaedge.demo.core;

import java.util.Arrays;

/** The figures of `device.measuring.samples`, by numpy's definitions. */
public final class Statistics {
    private Statistics() {}

    public static double median(double[] values) {
        return percentile(values, 50);
    }

    /** Linear between the two nearest, as numpy's default. */
    public static double percentile(double[] values, double percent) {
        if (values.length == 0) {
            throw new IllegalArgumentException("a percentile of nothing");
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double place = percent / 100 * (sorted.length - 1);
        int below = (int) Math.floor(place);
        int above = Math.min(below + 1, sorted.length - 1);
        double share = place - below;
        double step = sorted[above] - sorted[below];
        return share < 0.5 ? sorted[below] + step * share : sorted[above] - step * (1 - share);
    }

    /** Median absolute deviation from the median. */
    public static double mad(double[] values) {
        double middle = median(values);
        double[] distances = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            distances[i] = Math.abs(values[i] - middle);
        }
        return median(distances);
    }

    /**
     * 95 % percentile-bootstrap interval of the median: the whole distribution of the median of n draws with
     * replacement, where `device.measuring.samples.bootstrap_interval` draws 10,000 of them.
     */
    public static double[] bootstrapInterval(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int n = sorted.length;
        double[] medians = new double[n * n]; // halfway between the values i and k, for the even numbers
        double[] shares = new double[n * n];
        for (int i = 0; i < n; i++) {
            for (int k = i; k < n; k++) {
                medians[i * n + k] = (sorted[i] + sorted[k]) / 2;
                shares[i * n + k] = n % 2 == 1 ? (i == k ? oddShare(n, i) : 0) : evenShare(n, i, k);
            }
        }
        return new double[] {quantile(medians, shares, 0.025), quantile(medians, shares, 0.975)};
    }

    /** Chance that the median of an odd number of draws is the i-th value. */
    private static double oddShare(int n, int i) {
        return atLeast(n, (n + 1) / 2, (i + 1.0) / n) - atLeast(n, (n + 1) / 2, (double) i / n);
    }

    /** Chance that the two middle draws of an even number are the i-th and the k-th value. */
    private static double evenShare(int n, int i, int k) {
        int half = n / 2;
        if (i < k) {
            double lower = Math.pow((i + 1.0) / n, half) - Math.pow((double) i / n, half);
            double upper = Math.pow((double) (n - k) / n, half) - Math.pow((double) (n - k - 1) / n, half);
            return choose(n, half) * lower * upper;
        }
        double share = atLeast(n, half + 1, (i + 1.0) / n) - atLeast(n, half + 1, (double) i / n);
        for (int below = 0; below < i; below++) { // the upper middle is the i-th, the lower one smaller
            share -= evenShare(n, below, i);
        }
        return share;
    }

    /** Chance of `count` successes or more in n trials. */
    private static double atLeast(int n, int count, double chance) {
        double sum = 0;
        for (int k = count; k <= n; k++) {
            sum += choose(n, k) * Math.pow(chance, k) * Math.pow(1 - chance, n - k);
        }
        return sum;
    }

    private static double choose(int n, int k) {
        double ways = 1;
        for (int i = 1; i <= k; i++) {
            ways = ways * (n - k + i) / i;
        }
        return ways;
    }

    private static double quantile(double[] values, double[] shares, double wanted) {
        Integer[] order = new Integer[values.length];
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        final double[] keys = values;
        Arrays.sort(order, new java.util.Comparator<Integer>() {
            @Override
            public int compare(Integer a, Integer b) {
                return Double.compare(keys[a], keys[b]);
            }
        });
        double sum = 0;
        double last = 0;
        for (Integer i : order) {
            if (shares[i] > 0) {
                sum += shares[i];
                last = values[i];
                if (sum >= wanted) {
                    return last;
                }
            }
        }
        return last;
    }
}
