package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.Map;
import java.util.TreeMap;
import org.junit.Test;

/** What a device is, by what it says itself. */
public class DeviceTest {
    private static DeviceKind kind(String key, String value, String arch, String cpuinfo) {
        Map<String, String> build = new TreeMap<String, String>();
        build.put("hardware", "flame");
        build.put("product", "flame");
        build.put("fingerprint", "google/flame/flame:13/TP1A.221005.002/9012097:user/release-keys");
        build.put(key, value);
        return DeviceKind.of(build, arch, cpuinfo);
    }

    @Test
    public void aPhoneIsPhysical() {
        DeviceKind phone = kind("ro.kernel.qemu", "", "aarch64", "processor\t: 0\nCPU implementer\t: 0x51\n");
        assertEquals("physical", phone.name());
    }

    @Test
    public void emulatorsAreFound() {
        String[][] signs = {{"hardware", "ranchu"}, {"hardware", "goldfish"}, {"product", "sdk_gphone64_arm64"},
            {"product", "aosp_cf_arm64_phone"}, {"fingerprint", "generic/aosp"}, {"ro.kernel.qemu", "1"},
            {"ro.boot.qemu", "1"}, {"hardware", "vbox86"}};
        for (String[] sign : signs) {
            DeviceKind found = kind(sign[0], sign[1], "aarch64", "");
            assertTrue(sign[1], found.emulated);
            assertTrue(found.evidence.length() > 0);
        }
        assertTrue(kind("x", "", "aarch64", "processor : 0\nvendor_id : GenuineIntel\n").emulated);
    }

    @Test
    public void processorsAreNamedAsTheToolkitNamesThem() throws Exception {
        for (Map<String, Object> row : Golden.cases("processors")) {
            assertEquals(row.get("name"), CpuName.of((String) row.get("cpuinfo")));
        }
    }
}
