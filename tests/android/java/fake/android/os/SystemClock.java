package android.os;

public class SystemClock {
    public static long elapsedRealtime() {
        return System.nanoTime() / 1000000;
    }

    public static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
