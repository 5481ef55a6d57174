package org.ofaedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.Test;

/** The toolkit's figures, and the steps of its measuring protocol. */
public class StatisticsTest {
    @Test
    public void figuresAreTheToolkits() throws Exception {
        for (Map<String, Object> row : Golden.cases("latency")) {
            List<LatencySession> sessions = new ArrayList<LatencySession>();
            for (Object session : (List<?>) row.get("sessions")) {
                sessions.add(LatencySession.ofJson((Map<?, ?>) session));
            }
            Map<?, ?> wanted = (Map<?, ?>) row.get("figures");
            LatencySummary got = new LatencySummary(sessions);
            near(wanted, "p50", got.p50);
            near(wanted, "p90", got.p90);
            near(wanted, "min", got.min);
            near(wanted, "mad", got.mad);
            near(wanted, "load_ms", got.loadMs);
            near(wanted, "first_ms", got.firstMs);
            near(wanted, "low95", got.low95);
            near(wanted, "high95", got.high95);
            if (wanted.get("p99") == null) {
                assertNull(got.p99);
            } else {
                near(wanted, "p99", got.p99);
            }
            assertEquals(wanted.get("runs"), (long) got.runs);
            assertEquals(wanted.get("settled"), got.settled);
        }
    }

    private static void near(Map<?, ?> wanted, String key, double got) {
        assertEquals(key, ((Number) wanted.get(key)).doubleValue(), got, 1e-12);
    }

    /** Against drawing: for odd and even numbers, the share of medians at or under the interval's ends. */
    @Test
    public void theIntervalIsTheBootstraps() {
        Random random = new Random(1);
        for (int n : new int[] {2, 3, 4, 5, 6, 9}) {
            double[] values = new double[n];
            for (int i = 0; i < n; i++) {
                values[i] = random.nextDouble();
            }
            double[] interval = Statistics.bootstrapInterval(values);
            int under = 0;
            int over = 0;
            for (int draw = 0; draw < 20000; draw++) {
                double[] drawn = new double[n];
                for (int i = 0; i < n; i++) {
                    drawn[i] = values[random.nextInt(n)];
                }
                double median = Statistics.median(drawn);
                under += median < interval[0] - 1e-12 ? 1 : 0;
                over += median > interval[1] + 1e-12 ? 1 : 0;
            }
            assertTrue(n + ": " + under, under <= 0.025 * 20000 + 100);
            assertTrue(n + ": " + over, over <= 0.025 * 20000 + 100);
        }
        assertArrayEquals(new double[] {3, 3}, Statistics.bootstrapInterval(new double[] {3}), 0);
    }

    @Test
    public void percentilesAreNumpys() {
        double[] values = {4, 1, 3, 2};
        assertEquals(2.5, Statistics.median(values), 0);
        assertEquals(3.7, Statistics.percentile(values, 90), 1e-12);
        assertEquals(1, Statistics.percentile(values, 0), 0);
        assertEquals(4, Statistics.percentile(values, 100), 0);
    }

    @Test
    public void theWindowKeepsTheLastFew() {
        LatencyWindow window = new LatencyWindow(3);
        for (long value : new long[] {9000000, 1000000, 2000000, 3000000}) {
            window.add(value);
        }
        assertEquals(3, window.size());
        assertEquals(2.0, window.percentileMs(50), 0);
        window.clear();
        assertEquals(0, window.size());
    }

    @Test
    public void aSteadyNetworkSettlesAtOnce() throws Exception {
        FakeEngine engine = new FakeEngine(1000000, 0); // 1 ms a run, always
        LatencySession session = LatencySession.measure(engine, new float[784], 7, new LatencyPlan(1, 100, 1, 10),
                engine);
        assertTrue(session.settled);
        assertEquals(7, session.loadNanos);
        assertEquals(500, session.warmupRuns); // half a second at the least
        assertEquals(1000, session.samples.length); // the minimum of time is the longer one here
    }

    @Test
    public void aNetworkThatGetsEverSlowerDoesNotSettle() throws Exception {
        FakeEngine engine = new FakeEngine(1000000, 0.01); // each run takes 1 % longer
        LatencySession session = LatencySession.measure(engine, new float[784], 0, new LatencyPlan(1, 5, 0, 2), engine);
        assertFalse(session.settled);
        assertEquals(5, session.samples.length);
        assertTrue(session.samples[4] > session.firstNanos);
    }

    @Test
    public void atLeastTheRunsAreMade() throws Exception {
        FakeEngine engine = new FakeEngine(200000000, 0); // 0.2 s a run
        LatencySession session = LatencySession.measure(engine, new float[784], 0, new LatencyPlan(1, 30, 1, 60),
                engine);
        assertEquals(20, session.warmupRuns);
        assertEquals(30, session.samples.length);
    }

    @Test
    public void aSessionSurvivesTheWayBetweenProcesses() throws Exception {
        FakeEngine engine = new FakeEngine(1000000, 0);
        LatencySession session = LatencySession.measure(engine, new float[784], 3, new LatencyPlan(1, 20, 0, 1), engine);
        LatencySession back = LatencySession.ofJson((Map<?, ?>) Json.read(Json.write(session.toJson()), Fault.FAILED));
        assertArrayEquals(session.samples, back.samples);
        assertArrayEquals(session.logits, back.logits, 0);
        assertEquals(session.firstNanos, back.firstNanos);
        assertEquals(session.settled, back.settled);
    }
}
