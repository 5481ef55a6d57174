package android.content;

import android.os.Bundle;

public class Intent {
    public static final String ACTION_BATTERY_CHANGED = "battery";
    private final Bundle extras = new Bundle();

    public Intent() {}

    public Intent(Context context, Class<?> target) {}

    public Intent put(String key, Object value) {
        extras.put(key, value);
        return this;
    }

    public Bundle getExtras() {
        return extras;
    }

    public int getIntExtra(String key, int missing) {
        return extras.containsKey(key) ? (Integer) extras.get(key) : missing;
    }
}
