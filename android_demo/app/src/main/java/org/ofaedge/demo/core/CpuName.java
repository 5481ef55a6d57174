package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The processor that /proc/cpuinfo describes, in the words of `device.connections.fingerprint.cpu_name`. */
public final class CpuName {
    private static final Pattern PART = Pattern.compile("(?m)^CPU part\\s*:\\s*0x([0-9a-fA-F]{1,7})");
    private static final Pattern IMPLEMENTER = Pattern.compile("(?m)^CPU implementer\\s*:\\s*0x([0-9a-fA-F]{1,7})");
    private static final Pattern MODEL = Pattern.compile("(?m)^model name\\s*:\\s*(.+)$");
    private static final int ARM = 0x41;
    private static final int QUALCOMM = 0x51;

    private CpuName() {}

    /** Of several cores the biggest is named; "unknown" where nothing is said. */
    public static String of(String cpuinfo) {
        String name = core(numbers(IMPLEMENTER, cpuinfo), numbers(PART, cpuinfo));
        Matcher model = MODEL.matcher(cpuinfo);
        if ((name.isEmpty() || name.startsWith("implementer")) && model.find()) {
            return model.group(1).trim();
        }
        return name.isEmpty() ? "unknown" : name;
    }

    /** As `device.connections.cores.core_name`: Arm's highest part, else a gold core, else the last one listed. */
    private static String core(List<Integer> makers, List<Integer> parts) {
        int cores = Math.min(makers.size(), parts.size());
        if (cores == 0) {
            return "";
        }
        boolean allArm = true;
        int highest = 0;
        String gold = null;
        for (int index = 0; index < cores; index++) {
            allArm &= makers.get(index) == ARM && arm(parts.get(index)) != null;
            highest = Math.max(highest, parts.get(index));
            String other = other(makers.get(index), parts.get(index));
            if (gold == null && other != null && other.endsWith("gold")) {
                gold = other;
            }
        }
        if (allArm) {
            return arm(highest);
        }
        if (gold != null) {
            return gold;
        }
        int maker = makers.get(cores - 1);
        int part = parts.get(cores - 1);
        String known = maker == ARM ? arm(part) : other(maker, part);
        String numbers = "implementer 0x" + Integer.toHexString(maker) + " part 0x" + Integer.toHexString(part);
        return known != null ? known : numbers;
    }

    private static List<Integer> numbers(Pattern pattern, String text) {
        List<Integer> numbers = new ArrayList<Integer>();
        Matcher matcher = pattern.matcher(text);
        while (matcher.find()) {
            numbers.add(Integer.parseInt(matcher.group(1), 16));
        }
        return numbers;
    }

    /** Qualcomm's cores, the other table of `device.connections.cores`. */
    private static String other(int maker, int part) {
        String[] kryos = {"2xx-gold", "2xx-silver", "3xx-gold", "3xx-silver", "4xx-gold", "4xx-silver"};
        int index = part - 0x800;
        return maker == QUALCOMM && index >= 0 && index < kryos.length ? "kryo-" + kryos[index] : null;
    }

    /** Arm's own cores by MIDR_EL1, the table of `device.connections.cores`. */
    private static String arm(int part) {
        switch (part) {
            case 0xD03:
                return "cortex-a53";
            case 0xD04:
                return "cortex-a35";
            case 0xD05:
                return "cortex-a55";
            case 0xD07:
                return "cortex-a57";
            case 0xD08:
                return "cortex-a72";
            case 0xD09:
                return "cortex-a73";
            case 0xD0A:
                return "cortex-a75";
            case 0xD0B:
                return "cortex-a76";
            case 0xD0C:
                return "neoverse-n1";
            case 0xD0D:
                return "cortex-a77";
            case 0xD40:
                return "neoverse-v1";
            case 0xD41:
                return "cortex-a78";
            case 0xD42:
                return "cortex-a78ae";
            case 0xD44:
                return "cortex-x1";
            case 0xD4B:
                return "cortex-a78c";
            default:
                return null;
        }
    }
}
