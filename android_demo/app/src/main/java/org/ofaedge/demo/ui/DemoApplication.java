package org.ofaedge.demo.ui;

import android.app.Application;
import android.content.Context;
import android.content.res.AssetManager;
import java.io.IOException;
import java.io.InputStream;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.TfliteEngine;

/** Holds the one store of bundled models; each process has its own. */
public final class DemoApplication extends Application {
    private ModelStore store;

    /** The store of the app that `context` belongs to. Throws Fault where the runtime or the bundle is not usable. */
    public static ModelStore store(Context context) throws Fault {
        return ((DemoApplication) context.getApplicationContext()).open();
    }

    private synchronized ModelStore open() throws Fault {
        if (store == null) {
            try {
                System.loadLibrary("litert-lm");
                System.loadLibrary("tflite_jni");
            } catch (UnsatisfiedLinkError error) {
                throw new Fault(Fault.NO_RUNTIME, String.valueOf(error.getMessage()), error);
            }
            final AssetManager assets = getAssets();
            ModelStore.Source source = new ModelStore.Source() {
                @Override
                public InputStream open(String path) throws IOException {
                    return assets.open(path);
                }
            };
            store = new ModelStore(source, new TfliteEngine.Factory());
        }
        return store;
    }
}
