package android.os;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

public class Looper {
    private static final Looper MAIN = new Looper();
    final ExecutorService queue = Executors.newSingleThreadExecutor();

    public static Looper getMainLooper() {
        return MAIN;
    }
}
