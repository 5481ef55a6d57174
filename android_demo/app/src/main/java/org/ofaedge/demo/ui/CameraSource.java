package org.ofaedge.demo.ui;

import android.content.Context;
import android.graphics.ImageFormat;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.media.ImageReader;
import android.os.Handler;
import android.util.Size;
import android.view.Surface;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ofaedge.demo.core.Image;
import org.ofaedge.demo.core.Orientation;
import org.ofaedge.demo.core.Yuv;

/** The camera: a preview on a texture, and upright squares of colour. All its work is done on one given thread. */
final class CameraSource {
    /** All calls come on the given thread. */
    interface Listener {
        /** The central square of a frame; `start` is when its conversion began. */
        void onFrame(Image square, long start);

        /** Opening went wrong, or the camera was taken away; it is closed. */
        void onCameraFault(String why);
    }

    private static final int WANTED_SIDE = 480; // of the frame's shorter side: nearest is best, under 240 is poor
    private static final int POOR_SIDE = 240;

    private final CameraManager manager;
    private final Handler handler;
    private final Listener listener;
    private final String id;
    private final int sensorDegrees;
    private final boolean front;
    private final Size size;
    private volatile int displayDegrees;
    private CameraDevice device; // this and the next: of the thread
    private CameraCaptureSession session;
    private ImageReader reader;
    private Surface preview;
    private boolean closed;

    private CameraSource(CameraManager manager, String id, Handler handler, Listener listener)
            throws CameraAccessException {
        this.manager = manager;
        this.id = id;
        this.handler = handler;
        this.listener = listener;
        CameraCharacteristics facts = manager.getCameraCharacteristics(id);
        Integer degrees = facts.get(CameraCharacteristics.SENSOR_ORIENTATION);
        this.sensorDegrees = degrees == null ? 0 : degrees;
        this.front = isFront(facts);
        this.size = frameSize(facts);
    }

    /** The back camera, else any; null where there is none. */
    static CameraSource find(Context context, Handler handler, Listener listener) throws CameraAccessException {
        CameraManager manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
        String chosen = null;
        for (String id : manager.getCameraIdList()) {
            CameraCharacteristics facts = manager.getCameraCharacteristics(id);
            if (frameSize(facts) != null && (chosen == null || !isFront(facts))) {
                chosen = id;
                if (!isFront(facts)) {
                    break;
                }
            }
        }
        return chosen == null ? null : new CameraSource(manager, chosen, handler, listener);
    }

    /** Of the frames and of the preview, as the sensor lies. */
    Size size() {
        return size;
    }

    int sensorDegrees() {
        return sensorDegrees;
    }

    /** 0, 90, 180 or 270: how the screen is turned now. */
    void setDisplayDegrees(int degrees) {
        displayDegrees = degrees;
    }

    /** The permission must have been given. */
    void open(final SurfaceTexture texture) {
        handler.post(new Runnable() {
            @Override
            public void run() {
                openNow(texture);
            }
        });
    }

    /** Back when the camera is closed, or after a second: other apps may then have it. */
    void close() {
        final CountDownLatch done = new CountDownLatch(1);
        handler.post(new Runnable() {
            @Override
            public void run() {
                closeNow();
                done.countDown();
            }
        });
        try {
            done.await(1, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private void openNow(SurfaceTexture texture) {
        if (closed) {
            return;
        }
        try {
            texture.setDefaultBufferSize(size.getWidth(), size.getHeight());
            preview = new Surface(texture);
            reader = ImageReader.newInstance(size.getWidth(), size.getHeight(), ImageFormat.YUV_420_888, 2);
            reader.setOnImageAvailableListener(new Frames(), handler);
            manager.openCamera(id, new Opened(), handler);
        } catch (CameraAccessException | SecurityException | IllegalArgumentException error) {
            fail(String.valueOf(error.getMessage()));
        }
    }

    private void closeNow() {
        closed = true;
        if (session != null) {
            session.close();
            session = null;
        }
        if (device != null) {
            device.close();
            device = null;
        }
        if (reader != null) {
            reader.close();
            reader = null;
        }
        if (preview != null) {
            preview.release();
            preview = null;
        }
    }

    private void fail(String why) {
        if (!closed) {
            closeNow();
            listener.onCameraFault(why);
        }
    }

    private final class Opened extends CameraDevice.StateCallback {
        @Override
        public void onOpened(CameraDevice opened) {
            if (closed) {
                opened.close();
                return;
            }
            device = opened;
            try {
                device.createCaptureSession(Arrays.asList(preview, reader.getSurface()), new Configured(), handler);
            } catch (CameraAccessException | IllegalStateException | IllegalArgumentException error) {
                fail(String.valueOf(error.getMessage()));
            }
        }

        @Override
        public void onDisconnected(CameraDevice lost) {
            lost.close();
            fail(null);
        }

        @Override
        public void onError(CameraDevice lost, int error) {
            lost.close();
            boolean taken = error == ERROR_CAMERA_IN_USE || error == ERROR_MAX_CAMERAS_IN_USE
                    || error == ERROR_CAMERA_DISABLED;
            fail(taken ? null : "error " + error);
        }
    }

    private final class Configured extends CameraCaptureSession.StateCallback {
        @Override
        public void onConfigured(CameraCaptureSession configured) {
            if (closed || device == null) {
                return;
            }
            session = configured;
            try {
                CaptureRequest.Builder request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
                request.addTarget(preview);
                request.addTarget(reader.getSurface());
                if (hasContinuousFocus()) {
                    request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE);
                }
                session.setRepeatingRequest(request.build(), null, handler);
            } catch (CameraAccessException | IllegalStateException | IllegalArgumentException error) {
                fail(String.valueOf(error.getMessage()));
            }
        }

        @Override
        public void onConfigureFailed(CameraCaptureSession configured) {
            fail("no session");
        }
    }

    private final class Frames implements ImageReader.OnImageAvailableListener {
        @Override
        public void onImageAvailable(ImageReader from) {
            if (closed) {
                return;
            }
            android.media.Image frame = from.acquireLatestImage(); // older ones were waiting too long
            if (frame == null) {
                return;
            }
            long start = System.nanoTime();
            Image square;
            try {
                square = square(frame);
            } finally {
                frame.close();
            }
            int degrees = Orientation.ofCamera(sensorDegrees, displayDegrees, front);
            listener.onFrame(Orientation.rotate(square, degrees), start);
        }
    }

    private static Image square(android.media.Image frame) {
        android.media.Image.Plane[] planes = frame.getPlanes();
        Yuv.Plane[] yuv = new Yuv.Plane[3];
        for (int i = 0; i < 3; i++) {
            yuv[i] = new Yuv.Plane(planes[i].getBuffer(), planes[i].getRowStride(), planes[i].getPixelStride());
        }
        int side = Math.min(frame.getWidth(), frame.getHeight());
        int left = (frame.getWidth() - side) / 2;
        int top = (frame.getHeight() - side) / 2;
        return Yuv.rgb(yuv[0], yuv[1], yuv[2], top, left, side, side);
    }

    private boolean hasContinuousFocus() throws CameraAccessException {
        int[] modes = manager.getCameraCharacteristics(id).get(CameraCharacteristics.CONTROL_AF_AVAILABLE_MODES);
        if (modes != null) {
            for (int mode : modes) {
                if (mode == CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE) {
                    return true;
                }
            }
        }
        return false;
    }

    private static boolean isFront(CameraCharacteristics facts) {
        Integer facing = facts.get(CameraCharacteristics.LENS_FACING);
        return facing != null && facing == CameraCharacteristics.LENS_FACING_FRONT;
    }

    /** Null where the camera gives no such frames. */
    private static Size frameSize(CameraCharacteristics facts) {
        StreamConfigurationMap map = facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP);
        Size[] sizes = map == null ? null : map.getOutputSizes(ImageFormat.YUV_420_888);
        Size best = null;
        for (Size each : sizes == null ? new Size[0] : sizes) {
            if (best == null || cost(each) < cost(best)) {
                best = each;
            }
        }
        return best;
    }

    private static int cost(Size size) {
        int side = Math.min(size.getWidth(), size.getHeight());
        int longer = Math.max(size.getWidth(), size.getHeight());
        return Math.abs(side - WANTED_SIDE) + (longer - side) / 4 + (side < POOR_SIDE ? 10000 : 0);
    }
}
