package android.os;

public class Debug {
    public static class MemoryInfo {
        public int getTotalPss() {
            return 12345;
        }
    }

    public static void getMemoryInfo(MemoryInfo info) {}

    public static long getNativeHeapAllocatedSize() {
        return 1 << 20;
    }
}
