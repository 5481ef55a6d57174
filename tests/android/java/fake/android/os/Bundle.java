package android.os;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

public class Bundle {
    private final Map<String, Object> map = new TreeMap<String, Object>();

    public void put(String key, Object value) {
        map.put(key, value);
    }

    public Set<String> keySet() {
        return map.keySet();
    }

    public boolean containsKey(String key) {
        return map.containsKey(key);
    }

    public Object get(String key) {
        if (map.get(key) instanceof RuntimeException) {
            throw (RuntimeException) map.get(key); // what a foreign Parcelable does
        }
        return map.get(key);
    }

    public void putString(String key, String value) {
        map.put(key, value);
    }

    public String getString(String key) {
        return (String) map.get(key);
    }

    public void putInt(String key, int value) {
        map.put(key, value);
    }

    public int getInt(String key) {
        return (Integer) map.get(key);
    }

    public void putDouble(String key, double value) {
        map.put(key, value);
    }

    public double getDouble(String key) {
        return (Double) map.get(key);
    }
}
