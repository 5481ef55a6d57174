package android.os;

import org.ofaedge.demo.FakePhone;

public class Build {
    public static final String MANUFACTURER = "Nobody";
    public static final String MODEL = "Phone";
    public static final String HARDWARE = FakePhone.option("hardware", "flame");
    public static final String PRODUCT = "flame";
    public static final String FINGERPRINT = "nobody/phone";

    public static class VERSION {
        public static final String RELEASE = "14";
        public static final int SDK_INT = Integer.parseInt(FakePhone.option("api", "34"));
    }
}
