package org.ofaedge.demo.ui;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;

/** Files that are either whole or not there. */
final class Files {
    private Files() {}

    static void write(File file, byte[] content) throws IOException {
        File part = new File(file.getPath() + ".part");
        FileOutputStream out = new FileOutputStream(part);
        try {
            out.write(content);
            out.getFD().sync();
        } finally {
            out.close();
        }
        if (!part.renameTo(file)) {
            throw new IOException("cannot rename " + part);
        }
    }

    static byte[] read(File file) throws IOException {
        FileInputStream in = new FileInputStream(file);
        try {
            byte[] content = new byte[(int) file.length()];
            int at = 0;
            while (at < content.length) {
                int n = in.read(content, at, content.length - at);
                if (n < 0) {
                    throw new IOException(file + " is shorter than it was");
                }
                at += n;
            }
            return content;
        } finally {
            in.close();
        }
    }

    /** Deletes it where it is; throws where it stays. */
    static void remove(File file) throws IOException {
        if (file.exists() && !file.delete()) {
            throw new IOException("cannot delete " + file);
        }
    }
}
