package android.content.pm;

public class PackageInfo {
    public String versionName = "0.1.0";
}
