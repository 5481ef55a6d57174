package org.ofaedge.demo.core;

/** Turning pictures upright: a camera's by the angles of sensor and screen, a file's by its EXIF entry. */
public final class Orientation {
    private static final int JPEG_START = 0xFFD8;
    private static final int APP1 = 0xFFE1;
    private static final int SCAN = 0xFFDA;
    private static final int TAG = 0x0112;

    private Orientation() {}

    /** Degrees clockwise by which a frame must be turned to stand upright on the screen. */
    public static int ofCamera(int sensorDegrees, int displayDegrees, boolean front) {
        int sign = front ? 1 : -1; // a front camera looks the other way
        return ((sensorDegrees + sign * displayDegrees) % 360 + 360) % 360;
    }

    /** Turned clockwise by 0, 90, 180 or 270 degrees. */
    public static Image rotate(Image image, int degrees) {
        if (degrees == 0) {
            return image;
        }
        boolean across = degrees % 180 != 0;
        int height = across ? image.width : image.height;
        int width = across ? image.height : image.width;
        byte[] pixels = new byte[image.pixels.length];
        int at = 0;
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int fromY = degrees == 90 ? image.height - 1 - x : degrees == 180 ? image.height - 1 - y : x;
                int fromX = degrees == 90 ? y : degrees == 180 ? image.width - 1 - x : image.width - 1 - y;
                int from = (fromY * image.width + fromX) * image.channels;
                for (int c = 0; c < image.channels; c++) {
                    pixels[at++] = image.pixels[from + c];
                }
            }
        }
        return new Image(height, width, image.channels, pixels);
    }

    /** Left and right exchanged. */
    public static Image mirror(Image image) {
        byte[] pixels = new byte[image.pixels.length];
        int at = 0;
        for (int y = 0; y < image.height; y++) {
            for (int x = image.width - 1; x >= 0; x--) {
                int from = (y * image.width + x) * image.channels;
                for (int c = 0; c < image.channels; c++) {
                    pixels[at++] = image.pixels[from + c];
                }
            }
        }
        return new Image(image.height, image.width, image.channels, pixels);
    }

    /** Upright by the EXIF number 1..8; others are taken for 1. */
    public static Image upright(Image image, int exif) {
        switch (exif) {
            case 2:
                return mirror(image);
            case 3:
                return rotate(image, 180);
            case 4:
                return mirror(rotate(image, 180));
            case 5:
                return mirror(rotate(image, 90));
            case 6:
                return rotate(image, 90);
            case 7:
                return mirror(rotate(image, 270));
            case 8:
                return rotate(image, 270);
            default:
                return image;
        }
    }

    /** The EXIF orientation of a JPEG file, 1..8; 1 where there is none or it cannot be read. */
    public static int ofJpeg(byte[] file) {
        if (big(file, 0, 2) != JPEG_START) {
            return 1;
        }
        long at = 2;
        while (at + 4 <= file.length) {
            long marker = big(file, at, 2);
            long length = big(file, at + 2, 2);
            if (marker == APP1 && big(file, at + 4, 4) == 0x45786966 && big(file, at + 8, 2) == 0) { // "Exif\0\0"
                return ofTiff(file, at + 10);
            }
            if (marker >> 8 != 0xFF || marker == SCAN || length < 2) {
                return 1;
            }
            at += 2 + length;
        }
        return 1;
    }

    private static int ofTiff(byte[] file, long start) {
        boolean little = big(file, start, 2) == 0x4949;
        if (!little && big(file, start, 2) != 0x4D4D) {
            return 1;
        }
        long directory = start + number(file, start + 4, 4, little);
        long entries = number(file, directory, 2, little);
        for (int i = 0; i < entries; i++) {
            long entry = directory + 2 + 12L * i;
            if (number(file, entry, 2, little) == TAG) {
                long value = number(file, entry + 8, 2, little);
                return value >= 1 && value <= 8 ? (int) value : 1;
            }
        }
        return 1;
    }

    private static long number(byte[] file, long at, int bytes, boolean little) {
        long value = big(file, at, bytes);
        if (!little || value < 0) {
            return value;
        }
        long turned = 0;
        for (int i = 0; i < bytes; i++) {
            turned |= (value >> 8 * i & 255) << 8 * (bytes - 1 - i);
        }
        return turned;
    }

    /** -1 beyond the file's end. */
    private static long big(byte[] file, long at, int bytes) {
        if (at < 0 || at + bytes > file.length) {
            return -1;
        }
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value = value << 8 | file[(int) at + i] & 255;
        }
        return value;
    }
}
