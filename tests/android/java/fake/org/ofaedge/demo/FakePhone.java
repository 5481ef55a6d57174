package org.ofaedge.demo;

import android.content.Intent;
import android.content.ServiceConnection;
import android.os.BatteryManager;
import android.os.Bundle;
import java.io.File;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.ofaedge.demo.ui.DemoApplication;
import org.ofaedge.demo.ui.SessionService;

/**
 * As much of a phone as the benchmark needs: BenchmarkActivity, BenchmarkRun and the sessions run unchanged on a JVM.
 *
 * <p>FakePhone ASSETS FOLDER TEXTS [KEY TYPE VALUE]... starts the activity as `am start` would. TYPE is es, ei, ez, or bad
 * for an extra that cannot be unpacked. Results lie in FOLDER/files. Options are system properties: `phone.NAME`.
 */
public final class FakePhone {
    private static final DemoApplication APPLICATION = new DemoApplication();
    private static final Properties TEXTS = new Properties();
    private static File assets;
    private static File home;
    private static int pid = 1000;
    private static SessionService service;

    private FakePhone() {}

    public static void main(String[] arguments) throws Exception {
        assets = new File(arguments[0]);
        home = new File(arguments[1]);
        TEXTS.load(Files.newBufferedReader(new File(arguments[2]).toPath()));
        Intent intent = new Intent();
        for (int i = 3; i < arguments.length; i += 3) {
            intent.put(arguments[i], value(arguments[i + 1], arguments[i + 2]));
        }
        BenchmarkActivity activity = new BenchmarkActivity();
        activity.intent = intent;
        activity.onCreate(option("recreated", "").isEmpty() ? null : new Bundle());
        if (!option("second", "").isEmpty()) {
            activity.onNewIntent(new Intent().put("model", "x").put("out", option("second", "")));
        }
        if (!option("leave", "").isEmpty()) {
            activity.onStop();
        }
        boolean ended = activity.finished.await(120, TimeUnit.SECONDS);
        System.out.println(ended ? "finished" : "hangs");
        System.exit(ended ? 0 : 1);
    }

    private static Object value(String type, String text) {
        switch (type) {
            case "ei":
                return Integer.valueOf(text);
            case "ez":
                return Boolean.valueOf(text);
            case "bad":
                return new IllegalStateException("a class that this app does not have");
            default:
                return text;
        }
    }

    public static String option(String name, String missing) {
        return System.getProperty("phone." + name, missing);
    }

    public static DemoApplication application() {
        return APPLICATION;
    }

    public static File assets() {
        return assets;
    }

    public static File folder(String name) {
        File folder = new File(home, name);
        folder.mkdirs();
        return folder;
    }

    public static String text(int id) {
        for (Field field : R.string.class.getFields()) {
            try {
                if (field.getInt(null) == id) {
                    return TEXTS.getProperty(field.getName());
                }
            } catch (IllegalAccessException error) {
                throw new IllegalStateException(error);
            }
        }
        throw new IllegalArgumentException("no text " + id);
    }

    public static Intent battery() {
        return new Intent().put(BatteryManager.EXTRA_LEVEL, Integer.valueOf(option("battery", "80")))
                .put(BatteryManager.EXTRA_SCALE, 100).put(BatteryManager.EXTRA_TEMPERATURE, 251);
    }

    /** A session's process: here only its number is new. */
    public static synchronized boolean bind(ServiceConnection connection) {
        pid++;
        service = new SessionService();
        service.onCreate();
        connection.onServiceConnected(null, service.onBind(null));
        return true;
    }

    public static synchronized void unbind() {
        service.onUnbind(null);
    }

    public static synchronized int pid() {
        return pid;
    }

    public static void kill(int killed) {
        System.out.println("killed " + killed);
    }
}
