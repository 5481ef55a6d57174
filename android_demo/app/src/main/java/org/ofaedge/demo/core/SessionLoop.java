package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** The sessions of one benchmark, each in a process of its own; throttled ones do not count. */
public final class SessionLoop {
    /** Runs one session in a new process and brings back its JSON. */
    public interface Source {
        Map<?, ?> session(int number, int of) throws Fault;
    }

    private static final int EXTRA = 3; // in place of throttled ones
    private static final String[] KEPT = {"pid", "thermal_worst", "cpuset", "memory"};

    public final List<LatencySession> sessions = new ArrayList<LatencySession>();
    /** Of every session, the throttled ones too: what the report keeps of its circumstances. */
    public final List<Object> facts = new ArrayList<Object>();

    /**
     * Runs until `count` sessions are valid. `device` is null where hot sessions are to count.
     *
     * <p>Throws Fault: throttled after three in vain, too-hot while waiting, failed where two shared a process.
     */
    public void run(int count, SteadyDevice device, Source source) throws Fault {
        Set<Long> processes = new HashSet<Long>();
        int throttled = 0;
        while (sessions.size() < count) {
            Map<?, ?> json = source.session(sessions.size() + 1, count);
            long worst = number(json, "thermal_worst");
            if (!processes.add(number(json, "pid"))) {
                throw new Fault(Fault.FAILED, "two sessions shared a process");
            }
            boolean valid = device == null || worst <= 0;
            facts.add(kept(json, valid));
            if (valid) {
                sessions.add(LatencySession.ofJson(json));
            } else if (++throttled > EXTRA) {
                throw new Fault(Fault.THROTTLED, throttled + " sessions reached a thermal status above 0");
            } else {
                device.waitUntilCool();
            }
        }
    }

    private static Map<String, Object> kept(Map<?, ?> json, boolean valid) {
        Map<String, Object> kept = new TreeMap<String, Object>();
        for (String key : KEPT) {
            kept.put(key, json.get(key));
        }
        kept.put("valid", valid);
        return kept;
    }

    private static long number(Map<?, ?> json, String key) throws Fault {
        if (!(json.get(key) instanceof Long)) {
            throw new Fault(Fault.FAILED, "a session's result has no " + key);
        }
        return (Long) json.get(key);
    }
}
