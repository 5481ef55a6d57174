package org.ofaedge.demo;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.util.Log;
import android.view.WindowManager;
import android.widget.TextView;
import java.util.Map;
import java.util.TreeMap;
import org.ofaedge.demo.core.BenchmarkRequest;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.ui.BenchmarkRun;

/**
 * The benchmark for adb: it runs by the intent's extras, touches nothing on the screen, leaves one JSON file, and ends.
 *
 * <p>It is an activity, and says what it does, because the system gives its fast cores only to the app on the screen.
 */
public final class BenchmarkActivity extends Activity implements BenchmarkRun.Listener {
    private static final String TAG = "ofa-edge";

    private BenchmarkRun run;
    private String out;

    @Override
    @SuppressWarnings("deprecation") // their replacements are of Android 8.1
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.benchmark_adb);
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
                | WindowManager.LayoutParams.FLAG_SHOW_WHEN_LOCKED | WindowManager.LayoutParams.FLAG_TURN_SCREEN_ON);
        if (state != null) {
            Fault lost = new Fault(Fault.INTERRUPTED, "the system ended the app during the run");
            BenchmarkRun.refuse(this, extras(getIntent()), lost);
            finish();
            return;
        }
        begin(getIntent());
    }

    private void begin(Intent intent) {
        final Map<String, Object> extras = extras(intent);
        final BenchmarkRun started = new BenchmarkRun(this, this);
        run = started;
        out = BenchmarkRequest.outOf(extras);
        new Thread(new Runnable() {
            @Override
            public void run() {
                Object status = started.run(extras).get("status");
                Log.i(TAG, "benchmark " + status + ": " + BenchmarkRun.file(BenchmarkActivity.this, out));
                runOnUiThread(new Runnable() {
                    @Override
                    public void run() {
                        end();
                    }
                });
            }
        }, "benchmark").start();
    }

    private void end() {
        run = null;
        finish();
    }

    /** A second request while one runs would disturb it: it is refused, in its own file. */
    @Override
    protected void onNewIntent(Intent intent) {
        super.onNewIntent(intent);
        Map<String, Object> extras = extras(intent);
        if (run == null) {
            begin(intent);
        } else if (!BenchmarkRequest.outOf(extras).equals(out)) {
            BenchmarkRun.refuse(this, extras, new Fault(Fault.BUSY, "a benchmark is running"));
        } else {
            Log.w(TAG, "a benchmark with this name is running; the second request is ignored");
        }
    }

    /** The extras as they are; what cannot be unpacked is one wrong extra, which the request's parser will name. */
    private static Map<String, Object> extras(Intent intent) {
        Map<String, Object> extras = new TreeMap<String, Object>();
        try {
            Bundle bundle = intent.getExtras();
            if (bundle != null) {
                for (String key : bundle.keySet()) {
                    extras.put(key, bundle.get(key));
                }
            }
        } catch (RuntimeException error) {
            extras.put("unreadable", String.valueOf(error));
        }
        return extras;
    }

    @Override
    public void onStep(final String step) {
        runOnUiThread(new Runnable() {
            @Override
            public void run() {
                ((TextView) findViewById(R.id.step)).setText(step);
            }
        });
    }

    @Override
    protected void onStop() {
        if (run != null) {
            run.stop();
        }
        super.onStop();
    }
}
