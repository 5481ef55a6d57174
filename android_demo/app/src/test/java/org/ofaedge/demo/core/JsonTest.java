package org.ofaedge.demo.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.Test;

/** The writer and the strict reader. */
public class JsonTest {
    private static Object read(String text) throws Fault {
        return Json.read(text, Fault.BAD_BUNDLE);
    }

    @Test
    public void whatIsWrittenIsReadBack() throws Exception {
        Map<String, Object> map = new LinkedHashMap<String, Object>();
        map.put("z", Arrays.<Object>asList(1L, -2.5, true, null, "a\"\\\n\u0001\u2028\u00fc\ud83d\ude00"));
        map.put("a", new LinkedHashMap<String, Object>());
        map.put("empty", Arrays.asList());
        String text = Json.write(map);
        assertTrue(text.indexOf("\"a\"") < text.indexOf("\"z\""));
        assertEquals(map, read(text));
        assertEquals("[1, 2]\n", Json.write(new long[] {1, 2}));
    }

    @Test
    public void numbersKeepTheirKind() throws Exception {
        assertEquals(123456789012345678L, read("123456789012345678"));
        assertEquals(1.0, read("1.0"));
        assertEquals(1e22, read("1e22"));
        assertEquals(-0.5, read(" -5E-1 "));
        assertEquals("\u00fc/", read("\"\\u00fc\\/\""));
    }

    @Test
    public void whatIsNotJsonIsRefused() {
        String deep = new String(new char[40]).replace("\0", "[");
        String[] texts = {"", "{", "{\"a\":1,}", "[1 2]", "{\"a\":1,\"a\":2}", "01", "1.", ".5", "+1", "NaN", "nul", "\"\t\"",
            "\"\\x\"", "\"\\u12g4\"", "\"open", "1 2", "{1:2}", "[1,]", "1e9999", deep, "'a'", "--1", "{\"a\" 1}"};
        for (String text : texts) {
            try {
                fail(text + " was read as " + read(text));
            } catch (Fault fault) {
                assertEquals(Fault.BAD_BUNDLE, fault.code);
            }
        }
    }

    @Test
    public void whatJsonDoesNotHaveIsNotWritten() {
        for (Object value : new Object[] {Double.NaN, Float.POSITIVE_INFINITY, new Object()}) {
            try {
                fail(Json.write(value));
            } catch (IllegalArgumentException error) {
                assertTrue(error.getMessage().length() > 0);
            }
        }
    }
}
