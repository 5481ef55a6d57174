package org.ofaedge.demo.ui;

import android.content.ComponentName;
import android.content.Context;
import android.content.Intent;
import android.content.ServiceConnection;
import android.os.Bundle;
import android.os.Handler;
import android.os.IBinder;
import android.os.Looper;
import android.os.Message;
import android.os.Messenger;
import android.os.RemoteException;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.ofaedge.demo.core.BenchmarkRequest;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Json;

/** Starts sessions, one after the other, each in a new process, and brings back what they found. */
final class Sessions {
    private static final int SLACK_SECONDS = 120; // start, load, slow networks: beyond what the plan itself takes

    private final Context context;

    Sessions(Context context) {
        this.context = context;
    }

    /** Not for the main thread. Throws Fault where the session failed, died or took too long. */
    Map<?, ?> run(BenchmarkRequest request, int threads) throws Fault {
        File file = SessionService.resultFile(context.getFilesDir());
        try {
            Files.remove(file);
            measure(request, threads);
            return (Map<?, ?>) Json.read(new String(Files.read(file), "UTF-8"), Fault.FAILED);
        } catch (IOException error) {
            throw new Fault(Fault.FAILED, "a session's result cannot be read: " + error.getMessage(), error);
        }
    }

    private void measure(BenchmarkRequest request, int threads) throws Fault {
        final BlockingQueue<Object> events = new LinkedBlockingQueue<Object>();
        ServiceConnection connection = new ServiceConnection() {
            @Override
            public void onServiceConnected(ComponentName name, IBinder binder) {
                events.add(new Messenger(binder));
            }

            @Override
            public void onServiceDisconnected(ComponentName name) {
                events.add(new Fault(Fault.FAILED, "the session's process died"));
            }
        };
        Messenger replies = new Messenger(new Handler(Looper.getMainLooper()) {
            @Override
            public void handleMessage(Message message) {
                events.add(message.getData());
            }
        });
        // Important: the session may use the processor cores that the screen's own app may use.
        int flags = Context.BIND_AUTO_CREATE | Context.BIND_IMPORTANT;
        Object event;
        try {
            if (!context.bindService(new Intent(context, SessionService.class), connection, flags)) {
                throw new Fault(Fault.FAILED, "the session's process cannot be started");
            }
            start(next(events, SLACK_SECONDS), replies, request, threads);
            event = next(events, SLACK_SECONDS + 4 * (long) (request.plan.minSeconds + request.plan.warmupLimitSeconds));
        } finally {
            context.unbindService(connection);
        }
        waitForEnd();
        String code = ((Bundle) event).getString(SessionService.CODE);
        if (code != null) {
            throw new Fault(code, ((Bundle) event).getString(SessionService.REASON));
        }
    }

    private static void start(Object binder, Messenger replies, BenchmarkRequest request, int threads) throws Fault {
        Bundle extras = new Bundle();
        extras.putString(SessionService.MODEL, request.model);
        extras.putString(SessionService.FILE, request.file);
        extras.putString(SessionService.INPUTS, request.inputs);
        extras.putString(SessionService.SHA256, request.sha256);
        extras.putInt(SessionService.THREADS, threads);
        extras.putInt(SessionService.MIN_RUNS, request.plan.minRuns);
        extras.putDouble(SessionService.MIN_SECONDS, request.plan.minSeconds);
        extras.putDouble(SessionService.WARMUP_LIMIT, request.plan.warmupLimitSeconds);
        Message message = Message.obtain(null, SessionService.START);
        message.setData(extras);
        message.replyTo = replies;
        try {
            ((Messenger) binder).send(message);
        } catch (RemoteException error) {
            throw new Fault(Fault.FAILED, "the session's process died", error);
        }
    }

    private static Object next(BlockingQueue<Object> events, long seconds) throws Fault {
        Object event;
        try {
            event = events.poll(seconds, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            throw new Fault(Fault.INTERRUPTED, "stopped", error);
        }
        if (event instanceof Fault) {
            throw (Fault) event;
        } else if (event == null) {
            throw new Fault(Fault.FAILED, "a session gave no result within " + seconds + " s");
        }
        return event;
    }

    /** The process kills itself once nobody is bound; a moment, so that the next one is new. */
    private static void waitForEnd() throws Fault {
        try {
            Thread.sleep(500);
        } catch (InterruptedException error) {
            throw new Fault(Fault.INTERRUPTED, "stopped", error);
        }
    }
}
