package org.ofaedge.demo.core;

/** What a user or a caller can meet. {@link #code} is for programs (and for translated messages), the detail for people. */
public final class Fault extends Exception {
    private static final long serialVersionUID = 1L;

    public static final String BAD_BUNDLE = "bad-bundle";
    public static final String BAD_REQUEST = "bad-request";
    public static final String BAD_SAMPLES = "bad-samples";
    public static final String BATTERY_LOW = "battery-low";
    public static final String BUSY = "busy";
    public static final String DAMAGED = "damaged";
    public static final String FAILED = "failed";
    public static final String INTERRUPTED = "interrupted";
    public static final String NO_MEMORY = "no-memory";
    public static final String NO_METADATA = "no-metadata";
    public static final String NO_RUNTIME = "no-runtime";
    public static final String THROTTLED = "throttled";
    public static final String TOO_HOT = "too-hot";
    public static final String UNKNOWN_MODEL = "unknown-model";
    public static final String UNSUPPORTED_MODEL = "unsupported-model";
    public static final String WRONG_ARTIFACT = "wrong-artifact";

    public final String code;

    public Fault(String code, String detail) {
        super(detail);
        this.code = code;
    }

    public Fault(String code, String detail, Throwable cause) {
        super(detail, cause);
        this.code = code;
    }
}
