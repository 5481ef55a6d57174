package org.ofaedge.demo.ui;

import android.content.Context;

/** Looks at the thermal status once a second while something is measured. */
final class ThermalWatch {
    private final Context context;
    private final Thread thread;
    private volatile int worst;
    private volatile boolean stopped;

    ThermalWatch(Context context) {
        this.context = context;
        this.worst = DeviceFacts.thermalStatus(context);
        this.thread = new Thread(new Runnable() {
            @Override
            public void run() {
                watch();
            }
        }, "thermal");
        thread.start();
    }

    private void watch() {
        while (!stopped) {
            try {
                Thread.sleep(1000);
            } catch (InterruptedException error) {
                return;
            }
            worst = Math.max(worst, DeviceFacts.thermalStatus(context));
        }
    }

    /** The worst status seen; DeviceFacts.UNKNOWN where the system does not tell. */
    int stop() {
        stopped = true;
        thread.interrupt();
        return Math.max(worst, DeviceFacts.thermalStatus(context));
    }
}
