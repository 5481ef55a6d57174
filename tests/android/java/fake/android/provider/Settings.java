package android.provider;

import android.content.ContentResolver;

public class Settings {
    public static class Global {
        public static int getInt(ContentResolver resolver, String name, int missing) {
            return name.equals("boot_count") ? 7 : missing;
        }
    }
}
