package android.content;

import android.content.pm.PackageManager;
import android.content.res.AssetManager;
import android.os.PowerManager;
import java.io.File;
import org.ofaedge.demo.FakePhone;

/** The one context there is: the fake phone's. */
public class Context {
    public static final int BIND_AUTO_CREATE = 1;
    public static final int BIND_IMPORTANT = 64;
    public static final String POWER_SERVICE = "power";

    public Context getApplicationContext() {
        return FakePhone.application();
    }

    public AssetManager getAssets() {
        return new AssetManager(FakePhone.assets());
    }

    public File getFilesDir() {
        return FakePhone.folder("inside");
    }

    public File getExternalFilesDir(String type) {
        return FakePhone.folder("files");
    }

    public String getString(int id, Object... values) {
        return String.format(java.util.Locale.ROOT, FakePhone.text(id), values);
    }

    public String getPackageName() {
        return "org.ofaedge.demo";
    }

    public PackageManager getPackageManager() {
        return new PackageManager();
    }

    public ContentResolver getContentResolver() {
        return new ContentResolver();
    }

    public Object getSystemService(String name) {
        return new PowerManager();
    }

    public Intent registerReceiver(Object receiver, IntentFilter filter) {
        return FakePhone.battery();
    }

    public boolean bindService(Intent intent, ServiceConnection connection, int flags) {
        return FakePhone.bind(connection);
    }

    public void unbindService(ServiceConnection connection) {
        FakePhone.unbind();
    }
}
