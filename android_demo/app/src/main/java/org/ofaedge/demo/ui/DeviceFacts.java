package org.ofaedge.demo.ui;

import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.os.BatteryManager;
import android.os.Build;
import android.os.Debug;
import android.os.PowerManager;
import android.provider.Settings;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.util.Map;
import java.util.TreeMap;
import org.ofaedge.demo.core.BenchmarkReport;
import org.ofaedge.demo.core.CpuName;
import org.ofaedge.demo.core.DeviceKind;

/** What the device says about itself. What a phone does not tell is left out, never guessed. */
final class DeviceFacts {
    /** Thermal status where the system does not tell it. */
    static final int UNKNOWN = -1;
    private static final int THERMAL_API = 29; // getCurrentThermalStatus
    private static final int SOC_API = 31;
    private static final String GOVERNOR = "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor";

    private DeviceFacts() {}

    static BenchmarkReport.Device read(Context context) {
        String cpuinfo = text("/proc/cpuinfo");
        String arch = property("os.arch");
        BenchmarkReport.Device device = new BenchmarkReport.Device();
        device.name = Build.MANUFACTURER + " " + Build.MODEL;
        device.kind = DeviceKind.of(build(), arch, cpuinfo);
        int cores = Runtime.getRuntime().availableProcessors();
        Map<String, String> prints = device.fingerprint;
        prints.put("arch", arch);
        prints.put("cpu", CpuName.of(cpuinfo));
        prints.put("model", device.name);
        prints.put("os", "Android " + Build.VERSION.RELEASE);
        prints.put("kernel", property("os.version"));
        prints.put("boot_id", bootId(context));
        prints.put("cores", String.valueOf(cores));
        prints.put("android_api", String.valueOf(Build.VERSION.SDK_INT));
        prints.put("android_build", Build.FINGERPRINT);
        putIfAny(prints, "soc", soc());
        putIfAny(prints, "governor", text(String.format(java.util.Locale.ROOT, GOVERNOR, cores - 1)));
        return device;
    }

    private static Map<String, String> build() {
        Map<String, String> build = new TreeMap<String, String>();
        build.put("hardware", Build.HARDWARE);
        build.put("product", Build.PRODUCT);
        build.put("fingerprint", Build.FINGERPRINT);
        build.put("ro.kernel.qemu", systemProperty("ro.kernel.qemu"));
        build.put("ro.boot.qemu", systemProperty("ro.boot.qemu"));
        return build;
    }

    /** The kernel's boot id where an app may read it, else how often the phone was started: new with each start too. */
    static String bootId(Context context) {
        String id = text("/proc/sys/kernel/random/boot_id");
        int count = Settings.Global.getInt(context.getContentResolver(), "boot_count", -1);
        return !id.isEmpty() ? id : count < 0 ? "unknown" : "boot " + count;
    }

    /** PowerManager's THERMAL_STATUS_*: 0 is none, 1 light, 2 moderate...; UNKNOWN before Android 10. */
    static int thermalStatus(Context context) {
        if (Build.VERSION.SDK_INT < THERMAL_API) {
            return UNKNOWN;
        }
        PowerManager power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
        try {
            return (Integer) PowerManager.class.getMethod("getCurrentThermalStatus").invoke(power);
        } catch (ReflectiveOperationException | RuntimeException error) {
            return UNKNOWN;
        }
    }

    /** Percent, charging, degrees; empty where the system does not tell. */
    static Map<String, Object> battery(Context context) {
        Map<String, Object> json = new TreeMap<String, Object>();
        Intent state = context.registerReceiver(null, new IntentFilter(Intent.ACTION_BATTERY_CHANGED));
        if (state == null) {
            return json;
        }
        int level = state.getIntExtra(BatteryManager.EXTRA_LEVEL, -1);
        int scale = state.getIntExtra(BatteryManager.EXTRA_SCALE, -1);
        if (level >= 0 && scale > 0) {
            json.put("percent", 100 * level / scale);
        }
        json.put("charging", state.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0) != 0);
        int tenths = state.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Integer.MIN_VALUE);
        if (tenths != Integer.MIN_VALUE) {
            json.put("celsius", tenths / 10.0);
        }
        return json;
    }

    /** Of this process, in kB. */
    static Map<String, Object> memory() {
        Debug.MemoryInfo info = new Debug.MemoryInfo();
        Debug.getMemoryInfo(info);
        Map<String, Object> json = new TreeMap<String, Object>();
        json.put("pss_kb", info.getTotalPss());
        json.put("native_heap_kb", Debug.getNativeHeapAllocatedSize() / 1024);
        for (String line : text("/proc/self/status").split("\n")) {
            if (line.startsWith("VmHWM:")) {
                json.put("peak_rss_kb", Long.valueOf(line.replaceAll("[^0-9]", "")));
            }
        }
        return json;
    }

    /** The group of processor cores that the system lets this process use; "" where it cannot be read. */
    static String cpuset() {
        return text("/proc/self/cpuset");
    }

    private static String soc() {
        if (Build.VERSION.SDK_INT < SOC_API) {
            return "";
        }
        try {
            return Build.class.getField("SOC_MANUFACTURER").get(null) + " " + Build.class.getField("SOC_MODEL").get(null);
        } catch (ReflectiveOperationException error) {
            return "";
        }
    }

    private static String systemProperty(String name) {
        try {
            Class<?> properties = Class.forName("android.os.SystemProperties");
            return String.valueOf(properties.getMethod("get", String.class).invoke(null, name));
        } catch (ReflectiveOperationException | RuntimeException error) {
            return "";
        }
    }

    private static String property(String name) {
        String value = System.getProperty(name);
        return value == null ? "unknown" : value;
    }

    private static void putIfAny(Map<String, String> map, String key, String value) {
        if (!value.isEmpty()) {
            map.put(key, value);
        }
    }

    /** A small file of the kernel, trimmed; "" where it cannot be read. */
    private static String text(String path) {
        try {
            InputStream in = new FileInputStream(path);
            try {
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                byte[] part = new byte[4096];
                for (int n = in.read(part); n >= 0 && out.size() < 1 << 18; n = in.read(part)) {
                    out.write(part, 0, n);
                }
                return new String(out.toByteArray(), Charset.forName("UTF-8")).trim();
            } finally {
                in.close();
            }
        } catch (IOException | SecurityException error) {
            return "";
        }
    }
}
