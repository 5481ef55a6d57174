package android.app;

import android.content.Context;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.Window;
import android.widget.TextView;
import java.util.concurrent.CountDownLatch;

public class Activity extends Context {
    public Intent intent;
    public final CountDownLatch finished = new CountDownLatch(1);

    protected void onCreate(Bundle state) {}

    protected void onNewIntent(Intent next) {}

    protected void onStop() {}

    public Intent getIntent() {
        return intent;
    }

    public void setContentView(int layout) {}

    public Window getWindow() {
        return new Window();
    }

    public View findViewById(int id) {
        return new TextView();
    }

    public void runOnUiThread(Runnable task) {
        new android.os.Handler(android.os.Looper.getMainLooper()).post(task);
    }

    public void finish() {
        finished.countDown();
    }
}
