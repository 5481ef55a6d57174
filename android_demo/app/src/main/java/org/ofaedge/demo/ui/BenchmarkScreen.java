package org.ofaedge.demo.ui;

import android.app.Activity;
import android.os.Bundle;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.widget.BaseAdapter;
import android.widget.Button;
import android.widget.CheckBox;
import android.widget.ImageView;
import android.widget.ListView;
import android.widget.TextView;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.Accuracy;
import org.ofaedge.demo.core.BenchmarkRequest;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.SampleSet;

/** The benchmark with a screen: what it will do, how far it is, what it found, and each mistake with its image. */
public final class BenchmarkScreen extends Activity implements BenchmarkRun.Listener {
    static final String MODEL = "model";

    private BundledModel model;
    private ModelStore store;
    private View head;
    private Mistakes mistakes;
    private BenchmarkRun run; // null while none is under way

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.benchmark);
        getActionBar().setDisplayHomeAsUpEnabled(true);
        ListView list = (ListView) findViewById(R.id.list);
        head = LayoutInflater.from(this).inflate(R.layout.benchmark_head, list, false);
        mistakes = new Mistakes();
        list.addHeaderView(head, null, false);
        list.setAdapter(mistakes);
        Button start = (Button) head.findViewById(R.id.start);
        try {
            store = DemoApplication.store(this);
            String name = getIntent().getStringExtra(MODEL);
            model = store.bundle().model(name == null ? "" : name);
        } catch (Fault fault) {
            start.setEnabled(false);
            text(R.id.step).setText(Texts.of(this, fault));
            return;
        }
        text(R.id.name).setText(model.name);
        text(R.id.facts).setText(Texts.facts(this, model));
        start.setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                if (run == null) {
                    begin();
                } else {
                    run.stop();
                }
            }
        });
    }

    private void begin() {
        final Map<String, Object> extras = new TreeMap<String, Object>();
        extras.put("model", model.name);
        if (((CheckBox) head.findViewById(R.id.quick)).isChecked()) {
            extras.put("sessions", 3);
            extras.put("min_seconds", 1);
            extras.put("warmup_limit_seconds", 3);
        }
        text(R.id.result).setText("");
        text(R.id.mistakes).setText("");
        mistakes.show(null, null, Collections.<String>emptyList());
        final BenchmarkRun started = new BenchmarkRun(this, this);
        run = started;
        setRunning(true);
        new Thread(new Runnable() {
            @Override
            public void run() {
                final Map<String, Object> json = started.run(extras);
                final SampleSet samples = started.accuracy() == null ? null : samples();
                final List<String> labels = labels();
                runOnUiThread(new Runnable() {
                    @Override
                    public void run() {
                        finishRun(started, json, samples, labels);
                    }
                });
            }
        }, "benchmark").start();
    }

    private void setRunning(boolean running) {
        ((Button) head.findViewById(R.id.start)).setText(running ? R.string.benchmark_stop : R.string.benchmark_start);
        head.findViewById(R.id.quick).setEnabled(!running);
        if (running) {
            getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        } else {
            getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        }
    }

    private void finishRun(BenchmarkRun done, Map<String, Object> json, SampleSet samples, List<String> labels) {
        run = null;
        setRunning(false);
        text(R.id.step).setText(getString(R.string.benchmark_done,
                BenchmarkRun.file(this, BenchmarkRequest.DEFAULT_OUT).getPath()));
        text(R.id.result).setText(ResultText.of(this, json));
        if (done.accuracy() != null && samples != null) {
            mistakes.show(done.accuracy().mistakes, samples, labels);
            text(R.id.mistakes).setText(getString(R.string.mistakes_title, done.accuracy().mistakes.size()));
        }
    }

    /** Null where they cannot be read; the report has said why. */
    private SampleSet samples() {
        try {
            return store.samples(store.bundle().samplesOf(model));
        } catch (Fault fault) {
            return null;
        }
    }

    private List<String> labels() {
        try {
            return store.metadata(model).labels;
        } catch (Fault fault) {
            return Collections.emptyList();
        }
    }

    @Override
    public void onStep(final String step) {
        runOnUiThread(new Runnable() {
            @Override
            public void run() {
                text(R.id.step).setText(step);
            }
        });
    }

    /** In the background the system takes the fast cores away: what is measured there is not worth keeping. */
    @Override
    protected void onStop() {
        if (run != null) {
            run.stop();
        }
        super.onStop();
    }

    private TextView text(int id) {
        return (TextView) head.findViewById(id);
    }

    private final class Mistakes extends BaseAdapter {
        private List<Accuracy.Mistake> list = Collections.emptyList();
        private SampleSet samples;
        private List<String> labels = Collections.emptyList();

        void show(List<Accuracy.Mistake> found, SampleSet set, List<String> names) {
            list = found == null ? Collections.<Accuracy.Mistake>emptyList() : found;
            samples = set;
            labels = names;
            notifyDataSetChanged();
        }

        @Override
        public int getCount() {
            return list.size();
        }

        @Override
        public Accuracy.Mistake getItem(int position) {
            return list.get(position);
        }

        @Override
        public long getItemId(int position) {
            return getItem(position).image;
        }

        @Override
        public View getView(int position, View old, ViewGroup parent) {
            View row = old != null ? old : getLayoutInflater().inflate(R.layout.mistake_row, parent, false);
            Accuracy.Mistake mistake = getItem(position);
            ImageView picture = (ImageView) row.findViewById(R.id.picture);
            picture.setImageBitmap(Pictures.bitmap(samples.image(mistake.image)));
            ((TextView) row.findViewById(R.id.text)).setText(
                    getString(R.string.mistake_row, mistake.image + 1, label(mistake.truth), label(mistake.answer)));
            return row;
        }

        private String label(int index) {
            return index < labels.size() ? labels.get(index) : String.valueOf(index);
        }
    }
}
