package android.os;

import org.ofaedge.demo.FakePhone;

public class Process {
    public static int myPid() {
        return FakePhone.pid();
    }

    public static void killProcess(int pid) {
        FakePhone.kill(pid);
    }
}
