package org.ofaedge.demo.ui;

import android.app.Service;
import android.content.Intent;
import android.os.Bundle;
import android.os.Handler;
import android.os.HandlerThread;
import android.os.IBinder;
import android.os.Message;
import android.os.Messenger;
import android.os.Process;
import android.os.RemoteException;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Inputs;
import org.ofaedge.demo.core.Json;
import org.ofaedge.demo.core.LatencyPlan;
import org.ofaedge.demo.core.LatencySession;
import org.ofaedge.demo.core.ModelStore;

/** One latency session. It runs in a process of its own, which ends with it: the next session is cold again. */
public final class SessionService extends Service {
    static final int START = 1; // messages
    static final int DONE = 2;
    static final String MODEL = "model"; // keys: the request's own extras
    static final String FILE = "file";
    static final String INPUTS = "inputs";
    static final String SHA256 = "sha256";
    static final String THREADS = "threads";
    static final String MIN_RUNS = "min_runs";
    static final String MIN_SECONDS = "min_seconds";
    static final String WARMUP_LIMIT = "warmup_limit_seconds";
    static final String CODE = "code"; // of the fault, null where there is none
    static final String REASON = "reason";
    private static final String RESULT = "session.json";

    private HandlerThread thread;
    private Messenger messenger;

    /** Where a session leaves its result for the app's main process. */
    static File resultFile(File filesDir) {
        return new File(filesDir, RESULT);
    }

    @Override
    public void onCreate() {
        super.onCreate();
        thread = new HandlerThread("session");
        thread.start();
        messenger = new Messenger(new Handler(thread.getLooper()) {
            @Override
            public void handleMessage(Message message) {
                if (message.what == START) {
                    answer(message.getData(), message.replyTo);
                }
            }
        });
    }

    @Override
    public IBinder onBind(Intent intent) {
        return messenger.getBinder();
    }

    @Override
    public boolean onUnbind(Intent intent) {
        Process.killProcess(Process.myPid());
        return false;
    }

    private void answer(Bundle request, Messenger to) {
        Bundle reply = new Bundle();
        try {
            String json = Json.write(measure(request));
            Files.write(resultFile(getFilesDir()), json.getBytes("UTF-8"));
        } catch (Fault fault) {
            reply.putString(CODE, fault.code);
            reply.putString(REASON, fault.getMessage());
        } catch (IOException | RuntimeException | OutOfMemoryError error) {
            reply.putString(CODE, Fault.FAILED);
            reply.putString(REASON, String.valueOf(error));
        }
        Message message = Message.obtain(null, DONE);
        message.setData(reply);
        try {
            to.send(message);
        } catch (RemoteException error) {
            Process.killProcess(Process.myPid()); // nobody waits any more
        }
    }

    private Map<String, Object> measure(Bundle request) throws Fault {
        ModelStore store = DemoApplication.store(this);
        Subject subject = new Subject(this, store, request.getString(MODEL), request.getString(FILE),
                request.getString(INPUTS));
        subject.artifact().check(request.getString(SHA256));
        LatencyPlan plan = new LatencyPlan(1, request.getInt(MIN_RUNS), request.getDouble(MIN_SECONDS),
                request.getDouble(WARMUP_LIMIT));
        Classifier classifier = subject.open(request.getInt(THREADS));
        Inputs inputs = subject.inputs(classifier.metadata.preprocessing);
        float[] first = inputs == null ? new float[classifier.engine().input().count()] : inputs.at(0);
        ThermalWatch watch = new ThermalWatch(this);
        try {
            LatencySession session = LatencySession.measure(classifier.engine(), first, classifier.loadNanos, plan,
                    LatencySession.CLOCK);
            Map<String, Object> json = session.toJson();
            json.put("pid", Process.myPid());
            json.put("thermal_worst", watch.stop());
            json.put("cpuset", DeviceFacts.cpuset());
            json.put("operators", classifier.engine().operators());
            json.put("undelegated_operators", classifier.engine().undelegatedOperators());
            json.put("memory", DeviceFacts.memory());
            return json;
        } finally {
            watch.stop();
            classifier.close();
        }
    }
}
