package org.ofaedge.demo.ui;

import android.Manifest;
import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Matrix;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.net.Uri;
import android.os.Handler;
import android.os.Looper;
import android.provider.Settings;
import android.view.Surface;
import android.view.TextureView;
import android.view.View;
import android.widget.Button;
import android.widget.TextView;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.Image;

/** The camera in the square: its permission, its preview, and the notice where it cannot be had. */
final class CameraView implements TextureView.SurfaceTextureListener, CameraSource.Listener {
    static final int PERMISSION = 1; // request code

    private final Activity activity;
    private final Recogniser recogniser;
    private final TextureView preview;
    private final View notice;
    private final Handler main = new Handler(Looper.getMainLooper());
    private CameraSource source;
    private boolean wanted;
    private boolean refused;

    CameraView(Activity activity, Recogniser recogniser) {
        this.activity = activity;
        this.recogniser = recogniser;
        this.preview = (TextureView) activity.findViewById(R.id.preview);
        this.notice = activity.findViewById(R.id.notice);
        preview.setSurfaceTextureListener(this);
    }

    /** Shows the camera as soon as permission and texture are there. */
    void start() {
        wanted = true;
        preview.setVisibility(View.VISIBLE);
        notice.setVisibility(View.GONE);
        if (source != null) {
            return;
        }
        if (!allowed()) {
            showPermissionNotice();
        } else if (preview.isAvailable()) {
            open(preview.getSurfaceTexture());
        }
    }

    void stop() {
        wanted = false;
        if (source != null) {
            source.close();
            source = null;
        }
    }

    void hide() {
        stop();
        preview.setVisibility(View.GONE);
        notice.setVisibility(View.GONE);
    }

    /** The answer to the request for permission. An interrupted request is no answer: `grants` is then empty. */
    void onPermission(int[] grants) {
        refused = grants.length > 0 && grants[0] != PackageManager.PERMISSION_GRANTED
                && !activity.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA);
        if (wanted) {
            start();
        }
    }

    private boolean allowed() {
        return activity.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED;
    }

    private void open(SurfaceTexture texture) {
        try {
            source = CameraSource.find(activity, recogniser.handler(), this);
        } catch (CameraAccessException | IllegalArgumentException | SecurityException error) {
            show(activity.getString(R.string.camera_failed, String.valueOf(error.getMessage())), 0, null);
            return;
        }
        if (source == null) {
            show(activity.getString(R.string.camera_none), 0, null);
            return;
        }
        turn();
        source.open(texture);
    }

    /** Fills the square with the middle of the preview, upright. */
    private void turn() {
        float side = preview.getWidth();
        int quarter = quarters();
        if (source == null || side == 0) {
            return;
        }
        source.setDisplayDegrees(90 * quarter);
        boolean across = source.sensorDegrees() % 180 != 0;
        float width = across ? source.size().getHeight() : source.size().getWidth(); // as the phone is held upright
        float height = across ? source.size().getWidth() : source.size().getHeight();
        float most = Math.min(width, height);
        Matrix matrix = new Matrix();
        matrix.setScale(width / most, height / most, side / 2, side / 2);
        matrix.postRotate(-90 * quarter, side / 2, side / 2);
        preview.setTransform(matrix);
    }

    private int quarters() {
        switch (activity.getWindowManager().getDefaultDisplay().getRotation()) {
            case Surface.ROTATION_90:
                return 1;
            case Surface.ROTATION_180:
                return 2;
            case Surface.ROTATION_270:
                return 3;
            default:
                return 0;
        }
    }

    private void showPermissionNotice() {
        if (refused) {
            show(activity.getString(R.string.camera_settings), R.string.open_settings, new View.OnClickListener() {
                @Override
                public void onClick(View view) {
                    Uri app = Uri.fromParts("package", activity.getPackageName(), null);
                    activity.startActivity(new Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app));
                }
            });
        } else {
            show(activity.getString(R.string.camera_why), R.string.camera_allow, new View.OnClickListener() {
                @Override
                public void onClick(View view) {
                    activity.requestPermissions(new String[] {Manifest.permission.CAMERA}, PERMISSION);
                }
            });
        }
    }

    private void show(String text, int button, View.OnClickListener action) {
        Button press = (Button) activity.findViewById(R.id.notice_button);
        ((TextView) activity.findViewById(R.id.notice_text)).setText(text);
        press.setVisibility(action == null ? View.GONE : View.VISIBLE);
        if (action != null) {
            press.setText(button);
            press.setOnClickListener(action);
        }
        notice.setVisibility(View.VISIBLE);
    }

    @Override
    public void onFrame(Image square, long start) {
        recogniser.recognise(square, false, start);
    }

    @Override
    public void onCameraFault(final String why) {
        main.post(new Runnable() {
            @Override
            public void run() {
                source = null;
                if (wanted) {
                    String reason = why == null ? activity.getString(R.string.camera_in_use) : why;
                    show(activity.getString(R.string.camera_failed, reason), 0, null);
                }
            }
        });
    }

    @Override
    public void onSurfaceTextureAvailable(SurfaceTexture texture, int width, int height) {
        if (wanted && source == null && allowed()) {
            open(texture);
        }
    }

    @Override
    public void onSurfaceTextureSizeChanged(SurfaceTexture texture, int width, int height) {
        turn();
    }

    @Override
    public boolean onSurfaceTextureDestroyed(SurfaceTexture texture) {
        if (source != null) {
            source.close();
            source = null;
        }
        return true;
    }

    @Override
    public void onSurfaceTextureUpdated(SurfaceTexture texture) {
        if (source != null) {
            source.setDisplayDegrees(90 * quarters()); // half a turn changes no layout and is not announced
        }
    }
}
