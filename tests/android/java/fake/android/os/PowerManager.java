package android.os;

import org.ofaedge.demo.FakePhone;

public class PowerManager {
    /** Of Android 10: the app finds it by name. */
    public int getCurrentThermalStatus() {
        return Integer.parseInt(FakePhone.option("thermal", "0"));
    }
}
