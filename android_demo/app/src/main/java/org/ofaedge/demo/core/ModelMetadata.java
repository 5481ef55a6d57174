package org.ofaedge.demo.core;

import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * What a model file says about itself (TFLite metadata, schema 1.5): normalisation, class names, the input's shape.
 *
 * <p>The same tables as `export.tflite.metadata` writes; any TFLite file with an image input, a normalisation and
 * labels is read.
 */
public final class ModelMetadata {
    private static final String FIELD = "TFLITE_METADATA";
    private static final int NORMALIZATION = 1; // ProcessUnitOptions
    private static final int IMAGE = 2; // ContentProperties
    private static final int RGB = 1; // ColorSpaceType
    private static final int GREY = 2;
    private static final int AXIS_LABELS = 2; // AssociatedFileType.TENSOR_AXIS_LABELS

    public final String name;
    public final String description;
    public final String version;
    public final String author;
    public final int[] inputShape;
    public final int classes;
    public final List<String> labels;
    public final Preprocessing preprocessing;

    private ModelMetadata(FlatTable table, int[] inputShape, int classes, List<String> labels, Preprocessing how)
            throws Fault {
        this.name = table.text(0);
        this.description = table.text(1);
        this.version = table.text(2);
        this.author = table.text(4);
        this.inputShape = inputShape;
        this.classes = classes;
        this.labels = labels;
        this.preprocessing = how;
    }

    /** Throws Fault (no-metadata, unsupported-model) for whatever is not such a model. */
    public static ModelMetadata read(byte[] file) throws Fault {
        FlatTable model = FlatTable.root(file, "TFL3");
        if (model.length(2) < 1) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "it has no graph");
        }
        FlatTable graph = model.table(2, 0);
        if (graph.length(1) != 1 || graph.length(2) != 1) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "it has " + graph.length(1) + " inputs and " + graph.length(2)
                    + " outputs");
        }
        int[] in = shape(graph.table(0, graph.numberAt(1, 0)));
        int[] out = shape(graph.table(0, graph.numberAt(2, 0)));
        if (in.length != 4 || in[0] != 1 || in[1] != in[2] || out.length != 2 || out[0] != 1) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "it takes " + Arrays.toString(in) + " and gives "
                    + Arrays.toString(out) + "; [1, size, size, channels] and [1, classes] are understood");
        }
        FlatTable metadata = FlatTable.root(metadataBytes(model), "M001");
        if (metadata.length(3) < 1) {
            throw new Fault(Fault.NO_METADATA, "nothing about the graph");
        }
        FlatTable tensors = metadata.table(3, 0);
        if (tensors.length(2) != 1 || tensors.length(3) != 1) {
            throw new Fault(Fault.NO_METADATA, "not one input and one output");
        }
        Preprocessing how = preprocessing(tensors.table(2, 0), in);
        List<String> labels = labels(tensors.table(3, 0), file, out[1]);
        return new ModelMetadata(metadata, in, out[1], labels, how);
    }

    /** Refuses an engine whose tensors are not those that the metadata speak of. */
    void check(Engine engine) throws Fault {
        int[] out = engine.output().shape;
        if (!Arrays.equals(engine.input().shape, inputShape) || out.length != 2 || out[1] != classes) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "the runtime sees an input of "
                    + Arrays.toString(engine.input().shape) + " and an output of " + Arrays.toString(out));
        }
    }

    private static byte[] metadataBytes(FlatTable model) throws Fault {
        for (int i = 0; i < model.length(6); i++) {
            FlatTable entry = model.table(6, i);
            if (entry.text(0).equals(FIELD)) {
                return model.table(4, entry.number(1, 0)).bytes(0);
            }
        }
        throw new Fault(Fault.NO_METADATA, "no entry " + FIELD);
    }

    private static int[] shape(FlatTable tensor) throws Fault {
        int[] shape = new int[Math.min(tensor.length(0), 9)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = tensor.numberAt(0, i);
        }
        return shape;
    }

    private static Preprocessing preprocessing(FlatTable input, int[] shape) throws Fault {
        FlatTable content = input.table(3);
        if (content == null || content.small(0, 0) != IMAGE || content.table(1) == null) {
            throw new Fault(Fault.UNSUPPORTED_MODEL, "its input is not an image");
        }
        int colours = content.table(1).small(0, 0);
        if (colours == RGB && shape[3] != 3 || colours == GREY && shape[3] != 1) {
            throw new Fault(Fault.NO_METADATA, "colour space " + colours + " with " + shape[3] + " channels");
        }
        for (int i = 0; i < input.length(4); i++) {
            FlatTable unit = input.table(4, i);
            if (unit.small(0, 0) == NORMALIZATION && unit.table(1) != null) {
                FlatTable options = unit.table(1);
                return new Preprocessing(shape[1], shape[3], options.floats(0), options.floats(1));
            }
        }
        throw new Fault(Fault.NO_METADATA, "no normalisation");
    }

    private static List<String> labels(FlatTable output, byte[] file, int classes) throws Fault {
        Map<String, byte[]> files = ZipTail.files(file);
        for (int i = 0; i < output.length(6); i++) {
            FlatTable entry = output.table(6, i);
            byte[] content = files.get(entry.text(0));
            if (entry.small(2, 0) == AXIS_LABELS && content != null) {
                return checkCount(lines(content), classes);
            }
        }
        throw new Fault(Fault.NO_METADATA, "no class names");
    }

    static List<String> lines(byte[] content) {
        List<String> lines = new ArrayList<String>();
        for (String line : new String(content, Charset.forName("UTF-8")).split("\r?\n")) {
            lines.add(line);
        }
        return lines;
    }

    static List<String> checkCount(List<String> labels, int classes) throws Fault {
        if (labels.size() != classes) {
            throw new Fault(Fault.NO_METADATA, labels.size() + " class names for " + classes + " classes");
        }
        return Collections.unmodifiableList(labels);
    }
}
