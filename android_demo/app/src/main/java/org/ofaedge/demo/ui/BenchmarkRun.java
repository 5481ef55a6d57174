package org.ofaedge.demo.ui;

import android.content.Context;
import android.content.pm.PackageManager;
import android.os.SystemClock;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import java.util.TreeMap;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.Accuracy;
import org.ofaedge.demo.core.BenchmarkReport;
import org.ofaedge.demo.core.BenchmarkRequest;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Inputs;
import org.ofaedge.demo.core.Json;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.Outputs;
import org.ofaedge.demo.core.SessionLoop;
import org.ofaedge.demo.core.SteadyDevice;

/** One benchmark, from the look at the battery to the JSON file. It always leaves a file, also of what went wrong. */
public final class BenchmarkRun {
    /** Calls come on the benchmark's own thread. */
    public interface Listener {
        void onStep(String text);
    }

    private static final long COOL_STEP_MS = 2000;

    private final Context context;
    private final Listener listener;
    private final Map<String, Object> conditions = new TreeMap<String, Object>();
    private volatile boolean stopped;
    private Accuracy accuracy;

    public BenchmarkRun(Context context, Listener listener) {
        this.context = context.getApplicationContext();
        this.listener = listener;
    }

    /** The run ends at the next step, with an error in its file. */
    public void stop() {
        stopped = true;
    }

    /** Null before the pass over labelled images was made. */
    Accuracy accuracy() {
        return accuracy;
    }

    /** Runs by an intent's extras. Not for the main thread. The result is also in the file that `file` names. */
    public Map<String, Object> run(Map<String, Object> extras) {
        String out = BenchmarkRequest.outOf(extras);
        Map<String, Object> json;
        try {
            Files.remove(file(context, out));
            Files.remove(logitsFile(out));
            json = measure(BenchmarkRequest.parse(extras));
        } catch (Fault fault) {
            json = failed(fault, extras);
        } catch (IOException | RuntimeException | OutOfMemoryError error) {
            json = failed(new Fault(Fault.FAILED, String.valueOf(error), error), extras);
        }
        return write(context, out, json);
    }

    /** Where adb finds the result: /sdcard/Android/data/org.ofaedge.demo/files/OUT.json. */
    public static File file(Context context, String out) {
        return new File(folder(context), out + ".json");
    }

    /** Writes the report of a request that is not run. */
    public static void refuse(Context context, Map<String, Object> extras, Fault fault) {
        Map<String, Object> json = BenchmarkReport.failed(fault, BenchmarkRequest.idOf(extras), version(context),
                new TreeMap<String, Object>());
        write(context, BenchmarkRequest.outOf(extras), json);
    }

    private static Map<String, Object> write(Context context, String out, Map<String, Object> json) {
        try {
            Files.write(file(context, out), Json.write(json).getBytes("UTF-8"));
        } catch (IOException error) {
            android.util.Log.e("ofa-edge", "the result cannot be written", error);
        }
        return json;
    }

    /** Where results are left for adb, and where adb leaves pushed files. */
    static File folder(Context context) {
        File outside = context.getExternalFilesDir(null);
        return outside != null ? outside : context.getFilesDir();
    }

    private File logitsFile(String out) {
        return new File(folder(context), out + ".logits.f32");
    }

    private Map<String, Object> failed(Fault fault, Map<String, Object> extras) {
        return BenchmarkReport.failed(fault, BenchmarkRequest.idOf(extras), version(context), conditions);
    }

    private Map<String, Object> measure(BenchmarkRequest request) throws Fault, IOException {
        ModelStore store = DemoApplication.store(context);
        BenchmarkReport.Run run = new BenchmarkReport.Run();
        Subject subject = new Subject(context, store, request.model, request.file, request.inputs);
        run.request = request;
        run.artifact = subject.artifact();
        run.artifact.check(request.sha256);
        run.runtime = store.runtime();
        run.threads = request.threads == 0 ? run.artifact.threads : request.threads;
        BenchmarkReport.Device device = DeviceFacts.read(context);
        conditions.put("battery_before", DeviceFacts.battery(context));
        SteadyDevice steady = request.preflight ? new SteadyDevice(new Phone(), request.coolWaitSeconds) : null;
        if (steady != null) {
            listener.onStep(context.getString(R.string.step_checking));
            steady.check();
        } else {
            run.notes.add("battery and temperature were not looked at before");
        }
        conditions.put("thermal_before", DeviceFacts.thermalStatus(context));
        answerAll(subject, run);
        if (request.latency) {
            measureLatency(run, steady);
        }
        conditions.put("battery_after", DeviceFacts.battery(context));
        conditions.put("thermal_after", DeviceFacts.thermalStatus(context));
        if (!device.fingerprint.get("boot_id").equals(DeviceFacts.bootId(context))) {
            throw new Fault(Fault.FAILED, "the device restarted");
        }
        device.conditions = conditions;
        return BenchmarkReport.finished(run, device, version(context));
    }

    private final class Phone implements SteadyDevice.Probe {
        @Override
        public int batteryPercent() {
            Object percent = DeviceFacts.battery(context).get("percent");
            return percent instanceof Integer ? (Integer) percent : -1;
        }

        @Override
        public boolean charging() {
            return Boolean.TRUE.equals(DeviceFacts.battery(context).get("charging"));
        }

        @Override
        public int thermalStatus() {
            return DeviceFacts.thermalStatus(context);
        }

        @Override
        public long millis() {
            return SystemClock.elapsedRealtime();
        }

        @Override
        public void waitToCool(int status) throws Fault {
            listener.onStep(context.getString(R.string.step_cooling, status));
            checkStopped();
            SystemClock.sleep(COOL_STEP_MS);
        }
    }

    /** Loads the model in any case: its memory and its operators belong to the report. */
    private void answerAll(Subject subject, BenchmarkReport.Run run) throws Fault, IOException {
        Classifier classifier = subject.open(run.threads);
        try {
            run.operators = classifier.engine().operators();
            run.undelegated = classifier.engine().undelegatedOperators();
            Inputs inputs = subject.inputs(classifier.metadata.preprocessing);
            if (inputs == null) {
                run.notes.add("no sample images are bundled for this model");
            } else if (run.request.accuracy) {
                long start = System.nanoTime();
                run.outputs = Outputs.measure(classifier.engine(), inputs, run.request.images, new Images());
                run.wallNanos = System.nanoTime() - start;
                run.accuracy = subject.samples() == null ? null : new Accuracy(run.outputs, subject.samples());
                run.outputsFile = logitsFile(run.request.out).getName();
                Files.write(logitsFile(run.request.out), run.outputs.bytes());
                accuracy = run.accuracy;
            }
            conditions.put("memory", DeviceFacts.memory());
        } finally {
            classifier.close();
        }
    }

    private final class Images implements Outputs.Progress {
        @Override
        public boolean stopAfter(int images, int of) {
            if (images % 25 == 0 || images == of) {
                listener.onStep(context.getString(R.string.step_accuracy, images, of));
            }
            return stopped;
        }
    }

    private void measureLatency(final BenchmarkReport.Run run, SteadyDevice steady) throws Fault {
        final Sessions processes = new Sessions(context);
        SessionLoop loop = new SessionLoop();
        conditions.put("sessions", loop.facts);
        loop.run(run.request.plan.sessions, steady, new SessionLoop.Source() {
            @Override
            public Map<?, ?> session(int number, int of) throws Fault {
                checkStopped();
                listener.onStep(context.getString(R.string.step_session, number, of));
                return processes.run(run.request, run.threads);
            }
        });
        checkStopped();
        run.sessions = loop.sessions;
    }

    private void checkStopped() throws Fault {
        if (stopped) {
            throw new Fault(Fault.INTERRUPTED, "the app left the screen, or was stopped: measure again");
        }
    }

    private static String version(Context context) {
        try {
            return context.getPackageManager().getPackageInfo(context.getPackageName(), 0).versionName;
        } catch (PackageManager.NameNotFoundException error) {
            return "unknown";
        }
    }
}
