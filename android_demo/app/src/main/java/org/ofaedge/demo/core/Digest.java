package org.ofaedge.demo.core;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** SHA-256, written as 64 lower-case hexadecimal digits. */
public final class Digest {
    private static final char[] HEX = "0123456789abcdef".toCharArray();

    private Digest() {}

    public static String sha256(byte[] bytes) {
        try {
            return hex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java platform must have it
        }
    }

    public static boolean isSha256(String text) {
        if (text == null || text.length() != 64) {
            return false;
        }
        for (int i = 0; i < 64; i++) {
            char c = text.charAt(i);
            if (!(c >= '0' && c <= '9' || c >= 'a' && c <= 'f')) {
                return false;
            }
        }
        return true;
    }

    /** Refuses content that is not what the bundle's manifest says it is. */
    static void check(byte[] bytes, String sha256, String file) throws Fault {
        String found = sha256(bytes);
        if (!found.equals(sha256)) {
            throw new Fault(Fault.DAMAGED, file + ": SHA-256 is " + found + ", the bundle says " + sha256);
        }
    }

    private static String hex(byte[] bytes) {
        char[] text = new char[2 * bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            text[2 * i] = HEX[bytes[i] >> 4 & 15];
            text[2 * i + 1] = HEX[bytes[i] & 15];
        }
        return new String(text);
    }
}
