package org.ofaedge.demo.core;

import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The processor that /proc/cpuinfo describes, in the words of `ofa_edge.device.fingerprint.cpu_name`. */
public final class CpuName {
    private static final Pattern PART = Pattern.compile("(?m)^CPU part\\s*:\\s*0x([0-9a-fA-F]{1,7})");
    private static final Pattern IMPLEMENTER = Pattern.compile("(?m)^CPU implementer\\s*:\\s*0x([0-9a-fA-F]{1,7})");
    private static final Pattern MODEL = Pattern.compile("(?m)^model name\\s*:\\s*(.+)$");
    private static final int ARM = 0x41;

    private CpuName() {}

    /** Of several cores the biggest is named; "unknown" where nothing is said. */
    public static String of(String cpuinfo) {
        TreeSet<Integer> parts = numbers(PART, cpuinfo);
        TreeSet<Integer> implementers = numbers(IMPLEMENTER, cpuinfo);
        if (!parts.isEmpty() && implementers.size() == 1 && implementers.first() == ARM) {
            String name = arm(parts.last());
            if (name != null) {
                return name;
            }
        }
        Matcher model = MODEL.matcher(cpuinfo);
        if (model.find()) {
            return model.group(1).trim();
        }
        if (parts.isEmpty() || implementers.isEmpty()) {
            return "unknown";
        }
        return "implementer 0x" + Integer.toHexString(implementers.first()) + " part 0x"
                + Integer.toHexString(parts.last());
    }

    private static TreeSet<Integer> numbers(Pattern pattern, String text) {
        TreeSet<Integer> numbers = new TreeSet<Integer>();
        Matcher matcher = pattern.matcher(text);
        while (matcher.find()) {
            numbers.add(Integer.parseInt(matcher.group(1), 16));
        }
        return numbers;
    }

    /** Arm's own cores by MIDR_EL1, the table of `ofa_edge.device.cores`. */
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
