package org.ofaedge.demo.core;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;

/**
 * A table of a FlatBuffer, read with every offset checked: a truncated or tampered file gives a Fault, never a crash.
 *
 * <p>Fields are numbered as the schema orders them, a union's type and value counting as two.
 */
final class FlatTable {
    private static final Charset UTF8 = Charset.forName("UTF-8");

    private final ByteBuffer data;
    private final int at;
    private final int vtable;
    private final int vtableBytes;

    private FlatTable(ByteBuffer data, int at) throws Fault {
        this.data = data;
        this.at = at;
        this.vtable = inside(data, (long) at - data.getInt(inside(data, at, 4)), 4);
        this.vtableBytes = data.getShort(vtable) & 0xFFFF;
        inside(data, vtable, Math.max(4, vtableBytes));
    }

    /** The root of a buffer with the given four-letter identifier. */
    static FlatTable root(byte[] bytes, String identifier) throws Fault {
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        inside(data, 0, 8);
        for (int i = 0; i < 4; i++) {
            if (bytes[4 + i] != identifier.charAt(i)) {
                throw new Fault(Fault.NO_METADATA, "no " + identifier + " flatbuffer");
            }
        }
        return new FlatTable(data, follow(data, 0));
    }

    int number(int field, int missing) throws Fault {
        int place = place(field);
        return place < 0 ? missing : data.getInt(inside(data, place, 4));
    }

    int small(int field, int missing) throws Fault {
        int place = place(field);
        return place < 0 ? missing : data.get(inside(data, place, 1)) & 255;
    }

    /** Null where the field is missing. */
    FlatTable table(int field) throws Fault {
        int place = place(field);
        return place < 0 ? null : new FlatTable(data, follow(data, place));
    }

    /** Elements of a vector field; 0 where it is missing. */
    int length(int field) throws Fault {
        int place = place(field);
        return place < 0 ? 0 : length(follow(data, place), 0);
    }

    FlatTable table(int field, int index) throws Fault {
        return new FlatTable(data, follow(data, element(field, index, 4)));
    }

    int numberAt(int field, int index) throws Fault {
        return data.getInt(element(field, index, 4));
    }

    float[] floats(int field) throws Fault {
        float[] values = new float[length(field)];
        if (values.length > 0) {
            element(field, values.length - 1, 4); // before a wrong length is believed
        }
        for (int i = 0; i < values.length; i++) {
            values[i] = data.getFloat(element(field, i, 4));
        }
        return values;
    }

    byte[] bytes(int field) throws Fault {
        int place = place(field);
        if (place < 0) {
            return new byte[0];
        }
        int vector = follow(data, place);
        int count = length(vector, 1);
        byte[] values = new byte[count];
        System.arraycopy(data.array(), vector + 4, values, 0, count);
        return values;
    }

    /** Empty where the field is missing. */
    String text(int field) throws Fault {
        return new String(bytes(field), UTF8);
    }

    private int element(int field, int index, int size) throws Fault {
        int place = place(field);
        if (place < 0) {
            throw broken("a vector is missing");
        }
        int vector = follow(data, place);
        if (index < 0 || index >= length(vector, size)) {
            throw broken("element " + index + " of a shorter vector");
        }
        return vector + 4 + index * size;
    }

    private int length(int vector, int size) throws Fault {
        int count = data.getInt(inside(data, vector, 4));
        if (count < 0) {
            throw broken("a vector of negative length");
        }
        inside(data, vector + 4L, (long) count * Math.max(size, 1));
        return count;
    }

    private int place(int field) throws Fault {
        int entry = 4 + 2 * field;
        if (entry + 2 > vtableBytes) {
            return -1;
        }
        int offset = data.getShort(inside(data, (long) vtable + entry, 2)) & 0xFFFF;
        return offset == 0 ? -1 : inside(data, (long) at + offset, 1);
    }

    private static int follow(ByteBuffer data, int place) throws Fault {
        long offset = data.getInt(inside(data, place, 4)) & 0xFFFFFFFFL;
        return inside(data, place + offset, 4);
    }

    private static int inside(ByteBuffer data, long start, long bytes) throws Fault {
        if (start < 0 || bytes < 0 || start + bytes > data.capacity()) {
            throw broken("an offset leads to byte " + start + " of " + data.capacity());
        }
        return (int) start;
    }

    private static Fault broken(String why) {
        return new Fault(Fault.NO_METADATA, "a broken flatbuffer: " + why);
    }
}
