package org.ofaedge.demo.ui;

import android.content.ContentResolver;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Canvas;
import android.graphics.Color;
import android.net.Uri;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.Image;
import org.ofaedge.demo.core.Orientation;

/** Pictures between Android and the core. */
final class Pictures {
    /** Code of the fault of what is no picture. */
    static final String UNREADABLE = "picture-unreadable";
    private static final int MOST_BYTES = 64 << 20;
    private static final int MOST_PIXELS = 4 << 20; // larger pictures are decoded at half their sides, or a quarter...

    private Pictures() {}

    /** A chosen picture, upright, transparency over white. Throws Fault where it is none. */
    static Image read(ContentResolver resolver, Uri uri) throws Fault {
        byte[] file;
        try {
            InputStream in = resolver.openInputStream(uri);
            if (in == null) {
                throw unreadable(null);
            }
            try {
                file = readAll(in);
            } finally {
                in.close();
            }
        } catch (IOException | SecurityException error) {
            throw unreadable(error);
        }
        return Orientation.upright(decode(file), Orientation.ofJpeg(file));
    }

    static Bitmap bitmap(Image image) {
        return Bitmap.createBitmap(image.toArgb(), image.width, image.height, Bitmap.Config.ARGB_8888);
    }

    private static Image decode(byte[] file) throws Fault {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if (options.outWidth < 1 || options.outHeight < 1) {
            throw unreadable(null);
        }
        options.inJustDecodeBounds = false;
        options.inSampleSize = 1;
        while ((long) options.outWidth * options.outHeight / options.inSampleSize / options.inSampleSize > MOST_PIXELS) {
            options.inSampleSize *= 2;
        }
        Bitmap decoded = BitmapFactory.decodeByteArray(file, 0, file.length, options);
        if (decoded == null) {
            throw unreadable(null);
        }
        Bitmap opaque = Bitmap.createBitmap(decoded.getWidth(), decoded.getHeight(), Bitmap.Config.ARGB_8888);
        Canvas canvas = new Canvas(opaque);
        canvas.drawColor(Color.WHITE);
        canvas.drawBitmap(decoded, 0, 0, null);
        decoded.recycle();
        int[] argb = new int[opaque.getWidth() * opaque.getHeight()];
        opaque.getPixels(argb, 0, opaque.getWidth(), 0, 0, opaque.getWidth(), opaque.getHeight());
        Image image = Image.ofArgb(opaque.getHeight(), opaque.getWidth(), argb);
        opaque.recycle();
        return image;
    }

    private static byte[] readAll(InputStream in) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        for (int n = in.read(part); n >= 0; n = in.read(part)) {
            out.write(part, 0, n);
            if (out.size() > MOST_BYTES) {
                throw new IOException("larger than " + MOST_BYTES + " bytes");
            }
        }
        return out.toByteArray();
    }

    private static Fault unreadable(Exception cause) {
        String why = cause == null ? "not a picture" : String.valueOf(cause.getMessage());
        return new Fault(UNREADABLE, why, cause);
    }
}
