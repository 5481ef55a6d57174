package org.ofaedge.demo.ui;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Bundle;
import android.view.View;
import android.widget.AdapterView;
import android.widget.ImageView;
import android.widget.Spinner;
import android.widget.TextView;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.Answer;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.BundledSamples;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Image;
import org.ofaedge.demo.core.LatencyWindow;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.Picture;
import org.ofaedge.demo.core.SampleSet;

/** Pick a model; see what it makes of the camera, a picture, or the bundled samples. */
public final class MainActivity extends Activity implements Recogniser.Listener {
    private static final int CAMERA = 0; // sources
    private static final int PICTURE = 1;
    private static final int SAMPLES = 2;
    private static final int CHOOSE = 1; // request code
    private static final int WINDOW = 50; // inferences behind the latency shown
    private static final int SHOWN_SIDE = 512;

    private final LatencyWindow nativeCalls = new LatencyWindow(WINDOW);
    private final LatencyWindow wholeFrames = new LatencyWindow(WINDOW);
    private ModelStore store; // null where the bundle or the runtime is not usable
    private Recogniser recogniser;
    private CameraView camera;
    private AnswerRows rows;
    private ModelAdapter models;
    private BundledModel model;
    private Fault modelFault; // of the selected model, or null
    private int source = CAMERA;
    private int sample;
    private int truth = -1;
    private Uri picture;
    private volatile SampleSet samples; // of the recogniser's thread

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        rows = new AnswerRows(this);
        String selected = null;
        if (state != null) {
            source = state.getInt("source", CAMERA);
            sample = state.getInt("sample", 0);
            selected = state.getString("model");
            picture = state.getParcelable("picture");
        }
        try {
            store = DemoApplication.store(this);
        } catch (Fault fault) {
            showFault(fault);
            return;
        }
        recogniser = new Recogniser(store, this);
        camera = new CameraView(this, recogniser);
        connectPicker(selected);
        connectButtons();
        recogniser.checkAll();
    }

    private void connectPicker(String selected) {
        models = new ModelAdapter(this, store.bundle().models);
        Spinner picker = (Spinner) findViewById(R.id.models);
        picker.setAdapter(models);
        for (int i = 0; i < models.getCount(); i++) {
            if (models.getItem(i).name.equals(selected)) {
                picker.setSelection(i);
            }
        }
        picker.setOnItemSelectedListener(new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> parent, View view, int position, long id) {
                select(models.getItem(position));
            }

            @Override
            public void onNothingSelected(AdapterView<?> parent) {}
        });
        if (models.getCount() > 0) {
            select(models.getItem(Math.max(0, picker.getSelectedItemPosition())));
        } else {
            showText(getString(R.string.no_models));
        }
    }

    private void connectButtons() {
        View.OnClickListener listener = new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                press(view.getId());
            }
        };
        int[] ids = {R.id.camera, R.id.gallery, R.id.samples, R.id.previous, R.id.next, R.id.benchmark};
        for (int id : ids) {
            findViewById(id).setOnClickListener(listener);
        }
    }

    private void press(int id) {
        if (id == R.id.camera) {
            show(CAMERA);
        } else if (id == R.id.gallery) {
            choosePicture();
        } else if (id == R.id.samples) {
            show(SAMPLES);
        } else if (id == R.id.previous) {
            step(-1);
        } else if (id == R.id.next) {
            step(1);
        } else if (id == R.id.benchmark && model != null) {
            startActivity(new Intent(this, BenchmarkScreen.class).putExtra(BenchmarkScreen.MODEL, model.name));
        }
    }

    private void select(BundledModel next) {
        if (model == next) {
            return;
        }
        model = next;
        nativeCalls.clear();
        wholeFrames.clear();
        rows.clear();
        modelFault = null;
        hideFault();
        ((TextView) findViewById(R.id.latency)).setText(R.string.waiting);
        recogniser.select(next);
        if (source != CAMERA) {
            show(source);
        }
    }

    /** Switches to a source, or classifies again what it shows. */
    private void show(int next) {
        source = next;
        truth = -1;
        if (modelFault != null) {
            showFault(modelFault); // the recogniser does not repeat it
        } else if (model != null) {
            hideFault();
        }
        rows.clear();
        findViewById(R.id.picture).setVisibility(next == CAMERA ? View.GONE : View.VISIBLE);
        findViewById(R.id.sample_bar).setVisibility(next == SAMPLES ? View.VISIBLE : View.GONE);
        if (next == CAMERA) {
            camera.start();
            return;
        }
        camera.hide();
        if (next == PICTURE && picture != null) {
            submitPicture(picture);
        } else if (next == SAMPLES) {
            step(0);
        }
    }

    private void choosePicture() {
        Intent open = new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*");
        Intent get = new Intent(Intent.ACTION_GET_CONTENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*");
        try {
            startActivityForResult(open, CHOOSE);
        } catch (ActivityNotFoundException error) {
            try {
                startActivityForResult(get, CHOOSE);
            } catch (ActivityNotFoundException none) {
                showText(getString(R.string.no_gallery));
            }
        }
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (request == CHOOSE && result == RESULT_OK && data != null && data.getData() != null) {
            picture = data.getData();
            source = PICTURE; // onResume follows and shows it
        }
    }

    private void submitPicture(final Uri uri) {
        recogniser.submit(new Recogniser.Picture() {
            @Override
            public Image load() throws Fault {
                Image image = Pictures.read(getContentResolver(), uri);
                int side = Math.min(SHOWN_SIDE, Math.min(image.height, image.width));
                showLater(Pictures.bitmap(Picture.square(image, image.channels, side)), -1);
                return image;
            }
        }, false);
    }

    private void step(int by) {
        final BundledSamples set = model == null ? null : store.bundle().samplesOf(model);
        if (set == null) {
            ((ImageView) findViewById(R.id.picture)).setImageDrawable(null);
            findViewById(R.id.sample_bar).setVisibility(View.GONE);
            showText(getString(R.string.no_samples));
            return;
        }
        sample = ((sample + by) % set.count + set.count) % set.count;
        final int index = sample;
        recogniser.submit(new Recogniser.Picture() {
            @Override
            public Image load() throws Fault {
                if (samples == null || !samples.name().equals(set.name)) {
                    samples = store.samples(set);
                }
                Image image = samples.image(index);
                showLater(Pictures.bitmap(image), samples.label(index));
                return image;
            }
        }, true);
    }

    private void showLater(final Bitmap bitmap, final int label) {
        runOnUiThread(new Runnable() {
            @Override
            public void run() {
                truth = label;
                ((ImageView) findViewById(R.id.picture)).setImageBitmap(bitmap);
            }
        });
    }

    @Override
    public void onAnswer(BundledModel answering, Classifier classifier, Answer answer, long wholeNanos) {
        if (answering != model) {
            return; // one that was still under way
        }
        rows.show(answer, classifier.metadata.labels);
        nativeCalls.add(answer.nativeNanos);
        wholeFrames.add(wholeNanos);
        ((TextView) findViewById(R.id.latency)).setText(getString(R.string.latency_line, nativeCalls.percentileMs(50),
                nativeCalls.percentileMs(90), nativeCalls.size(), wholeFrames.percentileMs(50),
                wholeFrames.percentileMs(90)));
        BundledSamples set = store.bundle().samplesOf(answering);
        if (source == SAMPLES && set != null && truth >= 0 && truth < classifier.metadata.labels.size()) {
            ((TextView) findViewById(R.id.truth)).setText(
                    getString(R.string.sample_truth, sample + 1, set.count, classifier.metadata.labels.get(truth)));
        }
    }

    @Override
    public void onFault(BundledModel about, Fault fault) {
        if (about != null && fault.code.equals(Fault.DAMAGED)) {
            models.markDamaged(about.name);
        }
        if (about != null && about == model) {
            modelFault = fault;
        }
        if (about == null || about == model) {
            rows.clear();
            ((TextView) findViewById(R.id.latency)).setText("");
            showFault(fault);
        }
    }

    private void showFault(Fault fault) {
        showText(Texts.of(this, fault));
    }

    private void showText(String text) {
        TextView view = (TextView) findViewById(R.id.fault);
        view.setText(text);
        view.setVisibility(View.VISIBLE);
    }

    private void hideFault() {
        findViewById(R.id.fault).setVisibility(View.GONE);
    }

    @Override
    protected void onResume() {
        super.onResume();
        if (store != null) {
            show(source);
        }
    }

    @Override
    protected void onPause() {
        if (camera != null) {
            camera.stop();
        }
        super.onPause();
    }

    @Override
    protected void onDestroy() {
        if (recogniser != null) {
            recogniser.quit();
        }
        super.onDestroy();
    }

    @Override
    public void onTrimMemory(int level) {
        super.onTrimMemory(level);
        if (recogniser != null && level >= TRIM_MEMORY_RUNNING_LOW) {
            recogniser.release();
            samples = null;
        }
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] grants) {
        if (request == CameraView.PERMISSION && camera != null) {
            camera.onPermission(grants);
        }
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putInt("source", source);
        state.putInt("sample", sample);
        state.putString("model", model == null ? null : model.name);
        state.putParcelable("picture", picture);
    }
}
