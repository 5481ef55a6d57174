package org.ofaedge.demo.core;

/** A device that is fit to be measured: charged and cool. Everything is asked of the device through {@link Probe}. */
public final class SteadyDevice {
    /** What the system tells; the thermal status is PowerManager's: 0 none, 1 light... or negative: not told. */
    public interface Probe {
        /** Percent, or negative: not told. */
        int batteryPercent();

        boolean charging();

        int thermalStatus();

        long millis();

        /** Waits, and says so; throws Fault (interrupted) where the run was stopped. */
        void waitToCool(int status) throws Fault;
    }

    static final int BATTERY_PERCENT = 50;

    private final Probe probe;
    private final int waitSeconds;

    public SteadyDevice(Probe probe, int waitSeconds) {
        this.probe = probe;
        this.waitSeconds = waitSeconds;
    }

    /** Throws Fault (battery-low, too-hot) where nothing measured now would be a figure. */
    public void check() throws Fault {
        int percent = probe.batteryPercent();
        if (percent >= 0 && percent < BATTERY_PERCENT && !probe.charging()) {
            throw new Fault(Fault.BATTERY_LOW, "the battery has " + percent + " %: charge it, or wait for "
                    + BATTERY_PERCENT + " %");
        }
        waitUntilCool();
    }

    /** Throws Fault (too-hot) after the time that the request allows. */
    public void waitUntilCool() throws Fault {
        long deadline = probe.millis() + 1000L * waitSeconds;
        int status = probe.thermalStatus();
        while (status > 0) {
            if (probe.millis() >= deadline) {
                throw new Fault(Fault.TOO_HOT, "thermal status " + status + " after " + waitSeconds + " s of waiting");
            }
            probe.waitToCool(status);
            status = probe.thermalStatus();
        }
    }
}
