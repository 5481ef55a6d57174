package org.ofaedge.demo.core;

/** What `bundle.json` says of one set of labelled test images. */
public final class BundledSamples {
    public final String name;
    public final String source;
    public final int classes;
    public final int count;
    final int height;
    final int width;
    final int channels;
    final String file;
    final String sha256;
    final String labelsFile;
    final String labelsSha256;

    BundledSamples(Fields fields) throws Fault {
        name = fields.name("name");
        source = fields.text("source");
        classes = (int) fields.whole("classes", 1, 1 << 16);
        count = (int) fields.whole("count", 1, 1 << 20);
        height = (int) fields.whole("height", 1, 4096);
        width = (int) fields.whole("width", 1, 4096);
        channels = (int) fields.whole("channels", 1, 3);
        file = fields.path("file", "samples");
        sha256 = fields.sha256("sha256");
        labelsFile = fields.path("labels_file", "samples");
        labelsSha256 = fields.sha256("labels_sha256");
    }
}
