package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Map;
import org.junit.Test;

/** Which sessions count, and when a device is fit to be measured. */
public class SessionLoopTest {
    /** A phone that cools by one status every 2 s, and time that only waiting moves. */
    private static final class Phone implements SteadyDevice.Probe {
        int percent = 80;
        boolean charging;
        int status;
        long now;

        @Override
        public int batteryPercent() {
            return percent;
        }

        @Override
        public boolean charging() {
            return charging;
        }

        @Override
        public int thermalStatus() {
            return status;
        }

        @Override
        public long millis() {
            return now;
        }

        @Override
        public void waitToCool(int seen) {
            now += 2000;
            status--;
        }
    }

    /** Sessions that reach the given thermal status, in turn. */
    private static final class Sessions implements SessionLoop.Source {
        final int[] worst;
        long pid = 100;
        long step = 1;
        int made;

        Sessions(int... worst) {
            this.worst = worst;
        }

        @Override
        public Map<?, ?> session(int number, int of) throws Fault {
            FakeEngine engine = new FakeEngine(1000000, 0);
            Map<String, Object> json = LatencySession.measure(engine, new float[784], 0, new LatencyPlan(1, 5, 0, 1),
                    engine).toJson();
            json.put("pid", pid);
            json.put("thermal_worst", worst[made++ % worst.length]);
            pid += step;
            return (Map<?, ?>) Json.read(Json.write(json), Fault.FAILED);
        }
    }

    private static void refused(String code, SessionLoop loop, SteadyDevice device, Sessions source) {
        try {
            loop.run(5, device, source);
            fail("ran");
        } catch (Fault fault) {
            assertEquals(code, fault.code);
        }
    }

    @Test
    public void coolSessionsCount() throws Exception {
        SessionLoop loop = new SessionLoop();
        loop.run(5, new SteadyDevice(new Phone(), 0), new Sessions(0));
        assertEquals(5, loop.sessions.size());
        assertEquals(104L, ((Map<?, ?>) loop.facts.get(4)).get("pid"));
        loop = new SessionLoop();
        loop.run(5, new SteadyDevice(new Phone(), 0), new Sessions(-1)); // a system that does not tell
        assertEquals(5, loop.sessions.size());
    }

    @Test
    public void throttledSessionsAreMadeAgainAfterCooling() throws Exception {
        Phone phone = new Phone();
        phone.status = 1;
        SessionLoop loop = new SessionLoop();
        loop.run(5, new SteadyDevice(phone, 60), new Sessions(0, 2, 0, 1, 0, 0, 0));
        assertEquals(5, loop.sessions.size());
        assertEquals(7, loop.facts.size());
        assertFalse((Boolean) ((Map<?, ?>) loop.facts.get(1)).get("valid"));
        assertEquals(2000, phone.now);
    }

    @Test
    public void fourThrottledSessionsAreTheEnd() {
        Sessions source = new Sessions(1);
        refused(Fault.THROTTLED, new SessionLoop(), new SteadyDevice(new Phone(), 60), source);
        assertEquals(4, source.made);
    }

    @Test
    public void hotSessionsCountWhereTheCallerSaysSo() throws Exception {
        SessionLoop loop = new SessionLoop();
        loop.run(5, null, new Sessions(3));
        assertEquals(5, loop.sessions.size());
    }

    @Test
    public void aSharedProcessIsAFault() {
        Sessions source = new Sessions(0);
        source.step = 0;
        refused(Fault.FAILED, new SessionLoop(), null, source);
        assertEquals(2, source.made);
    }

    @Test
    public void aLowBatteryIsRefusedUnlessItCharges() throws Exception {
        Phone phone = new Phone();
        phone.percent = 49;
        unfit(Fault.BATTERY_LOW, phone, 0);
        phone.charging = true;
        new SteadyDevice(phone, 0).check();
        phone.charging = false;
        phone.percent = 50;
        new SteadyDevice(phone, 0).check();
        phone.percent = -1; // not told
        new SteadyDevice(phone, 0).check();
    }

    @Test
    public void aHotPhoneIsWaitedForUpToTheDeadline() throws Exception {
        Phone phone = new Phone();
        phone.status = 3;
        new SteadyDevice(phone, 60).check();
        assertEquals(6000, phone.now);
        phone.status = 100;
        unfit(Fault.TOO_HOT, phone, 10);
        assertTrue(phone.now <= 6000 + 10000);
    }

    private static void unfit(String code, Phone phone, int seconds) {
        try {
            new SteadyDevice(phone, seconds).check();
            fail("measured");
        } catch (Fault fault) {
            assertEquals(code, fault.code);
        }
    }
}
