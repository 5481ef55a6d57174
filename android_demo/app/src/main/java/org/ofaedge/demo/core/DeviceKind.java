package org.ofaedge.demo.core;

import java.util.Map;

/** Whether this is hardware, found on the device itself and never taken from what a caller says. */
public final class DeviceKind {
    public final boolean emulated;
    public final String evidence;

    private DeviceKind(boolean emulated, String evidence) {
        this.emulated = emulated;
        this.evidence = evidence;
    }

    /** From android.os.Build's texts, the machine's name (os.arch) and /proc/cpuinfo. */
    public static DeviceKind of(Map<String, String> build, String arch, String cpuinfo) {
        String hardware = text(build, "hardware");
        if (hardware.equals("ranchu") || hardware.equals("goldfish") || hardware.contains("cuttlefish")
                || hardware.startsWith("vbox")) {
            return new DeviceKind(true, "Build.HARDWARE is " + hardware);
        }
        String product = text(build, "product");
        if (product.startsWith("sdk_") || product.startsWith("vbox") || product.contains("emulator")
                || product.contains("_cf_") || product.startsWith("cf_")) {
            return new DeviceKind(true, "Build.PRODUCT is " + product);
        }
        if (text(build, "fingerprint").startsWith("generic")) {
            return new DeviceKind(true, "Build.FINGERPRINT is generic");
        }
        if (text(build, "ro.kernel.qemu").equals("1") || text(build, "ro.boot.qemu").equals("1")) {
            return new DeviceKind(true, "ro.kernel.qemu is 1");
        }
        boolean arm = arch.startsWith("aarch64") || arch.startsWith("arm");
        if (arm && java.util.regex.Pattern.compile("(?m)^vendor_id\\s*:").matcher(cpuinfo).find()) {
            return new DeviceKind(true, arch + " code on an x86 processor");
        }
        return new DeviceKind(false, "no sign of an emulator");
    }

    public String name() {
        return emulated ? "emulated" : "physical";
    }

    private static String text(Map<String, String> build, String key) {
        String value = build.get(key);
        return value == null ? "" : value;
    }
}
