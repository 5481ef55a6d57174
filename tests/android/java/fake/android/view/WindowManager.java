package android.view;

public class WindowManager {
    public static class LayoutParams {
        public static final int FLAG_KEEP_SCREEN_ON = 1;
        public static final int FLAG_SHOW_WHEN_LOCKED = 2;
        public static final int FLAG_TURN_SCREEN_ON = 4;
    }
}
