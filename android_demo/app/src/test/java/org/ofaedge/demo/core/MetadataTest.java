package org.ofaedge.demo.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import org.junit.Test;

/** The reader of a model's own metadata, and what it refuses. */
public class MetadataTest {
    @Test
    public void whatPythonWroteIsRead() throws Exception {
        ModelMetadata metadata = ModelMetadata.read(Golden.resource("tiny.tflite"));
        assertEquals("tiny", metadata.name);
        assertEquals("a test's network", metadata.description);
        assertEquals("1.2.3", metadata.version);
        assertEquals("ofa-edge", metadata.author);
        assertEquals(10, metadata.classes);
        assertArrayEquals(new int[] {1, 28, 28, 1}, metadata.inputShape);
        assertEquals("T-shirt/top", metadata.labels.get(0));
        assertEquals("\u00dcberzieher", metadata.labels.get(1));
        assertEquals("kimono \u7740\u7269", metadata.labels.get(2));
        float[] black = metadata.preprocessing.whole(new Image(28, 28, 1, new byte[784]));
        assertEquals((0f - 72.94f) / 90.02f, black[0], 0);
    }

    @Test
    public void aTruncatedModelIsRefusedWhereverItEnds() throws Exception {
        byte[] whole = Golden.resource("tiny.tflite");
        for (int length = 0; length < whole.length; length++) {
            try {
                ModelMetadata.read(Arrays.copyOf(whole, length));
                fail("taken with " + length + " of " + whole.length + " bytes");
            } catch (Fault fault) {
                assertTrue(fault.code.equals(Fault.NO_METADATA) || fault.code.equals(Fault.UNSUPPORTED_MODEL));
            }
        }
    }

    /** The digest finds tampering; should it ever come this far, it may be read or refused, and nothing else. */
    @Test
    public void changedBytesNeverCrashTheReader() throws Exception {
        byte[] whole = Golden.resource("tiny.tflite");
        int refused = 0;
        for (int at = 0; at < whole.length; at++) {
            for (int value : new int[] {0, 0x7F, 0x80, 0xFF}) {
                byte[] changed = whole.clone();
                changed[at] = (byte) value;
                try {
                    ModelMetadata metadata = ModelMetadata.read(changed);
                    assertEquals(metadata.classes, metadata.labels.size());
                } catch (Fault fault) {
                    refused++;
                }
            }
        }
        assertTrue("only " + refused, refused > whole.length);
    }

    @Test
    public void labelsThatDoNotFitAreRefused() throws Exception {
        byte[] file = Golden.resource("tiny.tflite");
        int at = find(file, "class 6\n".getBytes("UTF-8"));
        file[at + 5] = '\n'; // one line more, of the same length
        // The ZIP's own checksum notices first; with that mended, the count does.
        refused(file, "checksum");
        java.util.zip.CRC32 sum = new java.util.zip.CRC32();
        byte[] old = Arrays.copyOfRange(Golden.resource("tiny.tflite"), find(file, "T-shirt".getBytes("UTF-8")), at + 8);
        sum.update(old);
        byte[] before = little((int) sum.getValue());
        sum.reset();
        sum.update(file, at + 8 - old.length, old.length);
        byte[] after = little((int) sum.getValue());
        for (int place = find(file, before); place >= 0; place = find(file, before)) {
            System.arraycopy(after, 0, file, place, 4);
        }
        refused(file, "11 class names for 10 classes");
    }

    @Test
    public void otherFilesAreNoModels() {
        refused("not a model at all, but long enough to be one".getBytes(), "TFL3");
        refused(new byte[0], "byte");
    }

    private static void refused(byte[] file, String why) {
        try {
            ModelMetadata.read(file);
        } catch (Fault fault) {
            assertTrue(fault.getMessage(), fault.getMessage().contains(why));
            return;
        }
        fail("taken");
    }

    private static byte[] little(int value) {
        return new byte[] {(byte) value, (byte) (value >> 8), (byte) (value >> 16), (byte) (value >> 24)};
    }

    private static int find(byte[] in, byte[] what) {
        for (int at = 0; at + what.length <= in.length; at++) {
            if (Arrays.equals(what, Arrays.copyOfRange(in, at, at + what.length))) {
                return at;
            }
        }
        return -1;
    }
}
