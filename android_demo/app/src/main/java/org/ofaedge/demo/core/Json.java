package org.ofaedge.demo.core;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * JSON as plain values: Map, List, String, Long, Double, Boolean, null. Written with sorted keys; read strictly, with
 * limits, because what is read came through other hands.
 */
public final class Json {
    private static final int DEEPEST = 32;

    private Json() {}

    /** Throws IllegalArgumentException for a value that JSON does not have (NaN, an unknown class). */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out, "\n");
        return out.append('\n').toString();
    }

    private static void write(Object value, StringBuilder out, String line) {
        if (value == null || value instanceof Boolean || value instanceof Long || value instanceof Integer) {
            out.append(value);
        } else if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            if (Double.isNaN(number) || Double.isInfinite(number)) {
                throw new IllegalArgumentException("JSON has no " + number);
            }
            out.append(number);
        } else if (value instanceof String) {
            quote((String) value, out);
        } else if (value instanceof Map) {
            writeMap((Map<?, ?>) value, out, line);
        } else if (value instanceof List) {
            writeList((List<?>) value, out, line);
        } else if (value instanceof long[]) {
            writeNumbers((long[]) value, out);
        } else {
            throw new IllegalArgumentException("not JSON: " + value.getClass());
        }
    }

    private static void writeMap(Map<?, ?> map, StringBuilder out, String line) {
        Map<String, Object> sorted = new TreeMap<String, Object>();
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            sorted.put((String) entry.getKey(), entry.getValue());
        }
        String inner = line + "  ";
        String before = "";
        out.append('{');
        for (Map.Entry<String, Object> entry : sorted.entrySet()) {
            out.append(before).append(inner);
            quote(entry.getKey(), out);
            out.append(": ");
            write(entry.getValue(), out, inner);
            before = ",";
        }
        out.append(sorted.isEmpty() ? "}" : line + "}");
    }

    private static void writeList(List<?> list, StringBuilder out, String line) {
        String inner = line + "  ";
        String before = "";
        out.append('[');
        for (Object item : list) {
            out.append(before).append(inner);
            write(item, out, inner);
            before = ",";
        }
        out.append(list.isEmpty() ? "]" : line + "]");
    }

    private static void writeNumbers(long[] numbers, StringBuilder out) {
        out.append('[');
        for (int i = 0; i < numbers.length; i++) {
            out.append(i == 0 ? "" : ", ").append(numbers[i]);
        }
        out.append(']');
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20 || c == 0x7F || Character.isSurrogate(c) || c == '\u2028' || c == '\u2029') {
                out.append(String.format(java.util.Locale.ROOT, "\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    /** Throws Fault with the given code, and the place, for anything that is not JSON. */
    public static Object read(String text, String code) throws Fault {
        return new Reader(text, code).all();
    }

    private static final class Reader {
        private final String text;
        private final String code;
        private int at;

        Reader(String text, String code) {
            this.text = text;
            this.code = code;
        }

        Object all() throws Fault {
            Object value = value(0);
            space();
            if (at < text.length()) {
                throw broken("more after the end");
            }
            return value;
        }

        private Object value(int depth) throws Fault {
            space();
            if (depth > DEEPEST) {
                throw broken("too deep");
            }
            char c = peek();
            if (c == '{') {
                return map(depth);
            } else if (c == '[') {
                return list(depth);
            } else if (c == '"') {
                return string();
            } else if (c == 't') {
                return word("true", Boolean.TRUE);
            } else if (c == 'f') {
                return word("false", Boolean.FALSE);
            } else if (c == 'n') {
                return word("null", null);
            }
            return number();
        }

        private Map<String, Object> map(int depth) throws Fault {
            Map<String, Object> map = new TreeMap<String, Object>();
            at++;
            space();
            if (peek() == '}') {
                at++;
                return map;
            }
            while (true) {
                space();
                String key = string();
                space();
                expect(':');
                if (map.containsKey(key)) {
                    throw broken("\"" + key + "\" twice");
                }
                map.put(key, value(depth + 1));
                space();
                if (peek() == '}') {
                    at++;
                    return map;
                }
                expect(',');
            }
        }

        private List<Object> list(int depth) throws Fault {
            List<Object> list = new ArrayList<Object>();
            at++;
            space();
            if (peek() == ']') {
                at++;
                return list;
            }
            while (true) {
                list.add(value(depth + 1));
                space();
                if (peek() == ']') {
                    at++;
                    return list;
                }
                expect(',');
            }
        }

        private String string() throws Fault {
            expect('"');
            StringBuilder out = new StringBuilder();
            while (peek() != '"') {
                char c = text.charAt(at++);
                if (c < 0x20) {
                    throw broken("a control character in a string");
                }
                out.append(c == '\\' ? escape() : c);
            }
            at++;
            return out.toString();
        }

        private char escape() throws Fault {
            char c = peek();
            at++;
            int plain = "\"\\/bfnrt".indexOf(c);
            if (plain >= 0) {
                return "\"\\/\b\f\n\r\t".charAt(plain);
            }
            if (c != 'u' || at + 4 > text.length()) {
                throw broken("a bad escape");
            }
            int value = 0;
            for (int i = 0; i < 4; i++) {
                int digit = Character.digit(text.charAt(at++), 16);
                if (digit < 0) {
                    throw broken("a bad escape");
                }
                value = 16 * value + digit;
            }
            return (char) value;
        }

        private Object number() throws Fault {
            int start = at;
            while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            String digits = text.substring(start, at);
            if (!digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]{1,4})?") || digits.length() > 64) {
                throw broken("not a value");
            }
            if (digits.matches("-?[0-9]{1,18}")) {
                return Long.valueOf(digits);
            }
            double value = new BigDecimal(digits).doubleValue();
            if (Double.isInfinite(value)) {
                throw broken("a number too large");
            }
            return value;
        }

        private Object word(String word, Object value) throws Fault {
            if (!text.startsWith(word, at)) {
                throw broken("not a value");
            }
            at += word.length();
            return value;
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private char peek() throws Fault {
            if (at >= text.length()) {
                throw broken("it ends too early");
            }
            return text.charAt(at);
        }

        private void expect(char c) throws Fault {
            if (peek() != c) {
                throw broken("no '" + c + "'");
            }
            at++;
        }

        private Fault broken(String why) {
            return new Fault(code, "not JSON: " + why + " at character " + at);
        }
    }
}
