package org.ofaedge.demo.core;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The fields of one JSON object, each read as the type it must have. */
final class Fields {
    /** Of models, samples and results. */
    static final String NAME = "[a-z0-9][a-z0-9._-]{0,63}";

    private final Map<?, ?> map;
    private final String where;

    Fields(Object value, String where) throws Fault {
        if (!(value instanceof Map)) {
            throw new Fault(Fault.BAD_BUNDLE, where + " is not an object");
        }
        this.map = (Map<?, ?>) value;
        this.where = where;
    }

    String text(String key) throws Fault {
        return (String) need(key, String.class);
    }

    boolean flag(String key) throws Fault {
        return (Boolean) need(key, Boolean.class);
    }

    /** A whole number from `low` to `high`. */
    long whole(String key, long low, long high) throws Fault {
        long value = (Long) need(key, Long.class);
        if (value < low || value > high) {
            throw wrong(key, "is " + value + ", not from " + low + " to " + high);
        }
        return value;
    }

    double number(String key) throws Fault {
        Object value = map.get(key);
        return value instanceof Long ? (double) (Long) value : (Double) need(key, Double.class);
    }

    /** Null where the value is null or missing. */
    Double numberOrNull(String key) throws Fault {
        return map.get(key) == null ? null : Double.valueOf(number(key));
    }

    String textOrNull(String key) throws Fault {
        return map.get(key) == null ? null : text(key);
    }

    Fields objectOrNull(String key) throws Fault {
        return map.get(key) == null ? null : new Fields(map.get(key), where + "." + key);
    }

    List<Fields> objects(String key) throws Fault {
        List<Fields> fields = new ArrayList<Fields>();
        for (Object item : (List<?>) need(key, List.class)) {
            fields.add(new Fields(item, where + "." + key + "[" + fields.size() + "]"));
        }
        return fields;
    }

    String sha256(String key) throws Fault {
        String text = text(key);
        if (!Digest.isSha256(text)) {
            throw wrong(key, "is not a SHA-256");
        }
        return text;
    }

    /** A path that stays inside `folder`. */
    String path(String key, String folder) throws Fault {
        String path = text(key);
        if (!path.startsWith(folder + "/") || path.contains("..") || !path.matches("[A-Za-z0-9._/-]{1,200}")) {
            throw wrong(key, "is not a path inside " + folder);
        }
        return path;
    }

    String name(String key) throws Fault {
        String name = text(key);
        if (!isName(name)) {
            throw wrong(key, "is not a name of [a-z0-9._-], 64 characters at most");
        }
        return name;
    }

    static boolean isName(String name) {
        return name.matches(NAME);
    }

    Fault wrong(String key, String why) {
        return new Fault(Fault.BAD_BUNDLE, where + "." + key + " " + why);
    }

    private Object need(String key, Class<?> type) throws Fault {
        Object value = map.get(key);
        if (!type.isInstance(value)) {
            throw wrong(key, value == null ? "is missing" : "is not a " + type.getSimpleName());
        }
        return value;
    }
}
