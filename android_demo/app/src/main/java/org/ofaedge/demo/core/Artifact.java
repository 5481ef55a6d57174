package org.ofaedge.demo.core;

import java.util.LinkedHashMap;
import java.util.Map;

/** The model file that a benchmark measures: one of the bundle's, or one that adb has pushed. */
public final class Artifact {
    public final String name;
    public final String file;
    public final String sha256;
    public final long size;
    /** Of the build's manifest; null for a pushed file. */
    public final String manifestSha256;
    /** What its target says; 1 for a pushed file. */
    public final int threads;

    private Artifact(String name, String file, String sha256, long size, String manifestSha256, int threads) {
        this.name = name;
        this.file = file;
        this.sha256 = sha256;
        this.size = size;
        this.manifestSha256 = manifestSha256;
        this.threads = threads;
    }

    public static Artifact bundled(BundledModel model) {
        return new Artifact(model.name, model.file, model.sha256, model.size, model.manifestSha256, model.threads);
    }

    public static Artifact pushed(String file, byte[] content) {
        return new Artifact(file, file, Digest.sha256(content), content.length, null, 1);
    }

    /** Refuses another one than the caller means; an empty digest means any. */
    public void check(String wanted) throws Fault {
        if (!wanted.isEmpty() && !wanted.equals(sha256)) {
            throw new Fault(Fault.WRONG_ARTIFACT, file + ": SHA-256 is " + sha256);
        }
    }

    Map<String, Object> toJson() {
        Map<String, Object> json = new LinkedHashMap<String, Object>();
        json.put("name", name);
        json.put("file", file);
        json.put("sha256", sha256);
        json.put("size", size);
        json.put("manifest_sha256", manifestSha256);
        return json;
    }
}
