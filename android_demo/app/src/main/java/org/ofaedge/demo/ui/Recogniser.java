package org.ofaedge.demo.ui;

import android.os.Handler;
import android.os.HandlerThread;
import android.os.Looper;
import org.ofaedge.demo.core.Answer;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Image;
import org.ofaedge.demo.core.ModelStore;

/** One thread that holds the loaded model and runs it. Everything is told to the listener on the main thread. */
final class Recogniser {
    /** All calls come on the main thread. */
    interface Listener {
        void onAnswer(BundledModel model, Classifier classifier, Answer answer, long wholeNanos);

        /** The model is null where the picture is at fault. */
        void onFault(BundledModel model, Fault fault);
    }

    /** Work for the recogniser's own thread. */
    interface Picture {
        Image load() throws Fault;
    }

    private final Handler main = new Handler(Looper.getMainLooper());
    private final HandlerThread thread = new HandlerThread("recogniser");
    private final Handler handler;
    private final ModelStore store;
    private final Listener listener;
    private BundledModel model; // this and the next: of the thread
    private Classifier classifier;
    private Fault fault;

    Recogniser(ModelStore store, Listener listener) {
        this.store = store;
        this.listener = listener;
        thread.start();
        handler = new Handler(thread.getLooper());
    }

    /** For the camera, whose frames come here. */
    Handler handler() {
        return handler;
    }

    /** From now on this model answers. It is loaded with the first picture, after its digest was checked. */
    void select(final BundledModel next) {
        handler.post(new Runnable() {
            @Override
            public void run() {
                free();
                model = next;
                fault = null;
            }
        });
    }

    /** Classifies a picture when its turn comes. One of a data set is taken whole, any other is cropped to its centre. */
    void submit(final Picture picture, final boolean whole) {
        handler.post(new Runnable() {
            @Override
            public void run() {
                try {
                    Image image = picture.load();
                    recognise(image, whole, System.nanoTime());
                } catch (Fault error) {
                    tell(null, error);
                } catch (OutOfMemoryError error) {
                    tell(null, new Fault(Fault.NO_MEMORY, String.valueOf(error.getMessage()), error));
                }
            }
        });
    }

    /** On the recogniser's thread: classify now. `start` is when the picture's preparation began. */
    void recognise(Image image, boolean whole, final long start) {
        if (model == null || fault != null) {
            return;
        }
        try {
            if (classifier == null) {
                classifier = store.open(model, model.threads);
            }
            final BundledModel answering = model;
            final Classifier loaded = classifier;
            final Answer answer = whole ? loaded.whole(image) : loaded.picture(image);
            final long wholeNanos = System.nanoTime() - start;
            main.post(new Runnable() {
                @Override
                public void run() {
                    listener.onAnswer(answering, loaded, answer, wholeNanos);
                }
            });
        } catch (Fault error) {
            fault = error; // told once, not with every frame
            tell(model, error);
        } catch (OutOfMemoryError error) {
            free();
            fault = new Fault(Fault.NO_MEMORY, String.valueOf(error.getMessage()), error);
            tell(model, fault);
        }
    }

    /** Looks for damaged models, without loading any. */
    void checkAll() {
        handler.post(new Runnable() {
            @Override
            public void run() {
                for (BundledModel each : store.bundle().models) {
                    try {
                        store.modelBytes(each);
                    } catch (Fault error) {
                        tell(each, error);
                    }
                }
            }
        });
    }

    /** Gives the model's memory back; it is loaded again when a picture comes. */
    void release() {
        handler.post(new Runnable() {
            @Override
            public void run() {
                free();
            }
        });
    }

    void quit() {
        release();
        thread.quitSafely();
    }

    private void free() {
        if (classifier != null) {
            classifier.close();
            classifier = null;
        }
    }

    private void tell(final BundledModel about, final Fault error) {
        main.post(new Runnable() {
            @Override
            public void run() {
                listener.onFault(about, error);
            }
        });
    }
}
