package org.ofaedge.demo.ui;

/** Codes of faults that only Android can have. */
final class Faults {
    static final String PICTURE = "picture-unreadable";
    static final String BATTERY = "battery-low";
    static final String HOT = "too-hot";
    static final String THROTTLED = "throttled";

    private Faults() {}
}
