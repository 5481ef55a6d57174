package org.ofaedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32;

/** The files of a ZIP that lies behind other content, uncompressed, as TFLite's metadata keeps them. All is checked. */
final class ZipTail {
    private static final int END = 0x06054b50;
    private static final int ENTRY = 0x02014b50;
    private static final int LOCAL = 0x04034b50;
    private static final int MOST_FILES = 64;
    private static final Charset UTF8 = Charset.forName("UTF-8");

    private ZipTail() {}

    static Map<String, byte[]> files(byte[] bytes) throws Fault {
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int end = findEnd(data);
        int count = data.getShort(end + 10) & 0xFFFF;
        int directory = inside(data, data.getInt(end + 16) & 0xFFFFFFFFL, data.getInt(end + 12) & 0xFFFFFFFFL);
        if (count > MOST_FILES) {
            throw broken(count + " files");
        }
        Map<String, byte[]> files = new TreeMap<String, byte[]>();
        long at = directory;
        for (int i = 0; i < count; i++) {
            int entry = inside(data, at, 46);
            if (data.getInt(entry) != ENTRY) {
                throw broken("no entry at byte " + entry);
            }
            int name = data.getShort(entry + 28) & 0xFFFF;
            inside(data, entry + 46L, name);
            if (files.put(new String(bytes, entry + 46, name, UTF8), content(data, entry)) != null) {
                throw broken("a file twice");
            }
            at = entry + 46L + name + (data.getShort(entry + 30) & 0xFFFF) + (data.getShort(entry + 32) & 0xFFFF);
        }
        return files;
    }

    private static byte[] content(ByteBuffer data, int entry) throws Fault {
        long size = data.getInt(entry + 24) & 0xFFFFFFFFL;
        if (data.getShort(entry + 10) != 0 || size != (data.getInt(entry + 20) & 0xFFFFFFFFL)) {
            throw broken("a compressed file");
        }
        int local = inside(data, data.getInt(entry + 42) & 0xFFFFFFFFL, 30);
        if (data.getInt(local) != LOCAL) {
            throw broken("no file at byte " + local);
        }
        long skip = 30L + (data.getShort(local + 26) & 0xFFFF) + (data.getShort(local + 28) & 0xFFFF);
        int start = inside(data, local + skip, size); // before a wrong size is believed
        byte[] content = java.util.Arrays.copyOfRange(data.array(), start, start + (int) size);
        CRC32 sum = new CRC32();
        sum.update(content);
        if ((int) sum.getValue() != data.getInt(entry + 16)) {
            throw broken("a checksum does not fit");
        }
        return content;
    }

    private static int findEnd(ByteBuffer data) throws Fault {
        for (int at = data.capacity() - 22; at >= Math.max(0, data.capacity() - 22 - 0xFFFF); at--) {
            if (data.getInt(at) == END) {
                return at;
            }
        }
        throw broken("it has no end");
    }

    private static int inside(ByteBuffer data, long start, long bytes) throws Fault {
        if (start < 0 || start + bytes > data.capacity()) {
            throw broken("byte " + start + " of " + data.capacity());
        }
        return (int) start;
    }

    private static Fault broken(String why) {
        return new Fault(Fault.NO_METADATA, "a broken ZIP behind the model: " + why);
    }
}
