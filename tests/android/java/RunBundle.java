import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import org.ofaedge.demo.core.Answer;
import org.ofaedge.demo.core.BundledModel;
import org.ofaedge.demo.core.BundledSamples;
import org.ofaedge.demo.core.Classifier;
import org.ofaedge.demo.core.Fault;
import org.ofaedge.demo.core.ModelStore;
import org.ofaedge.demo.core.SampleSet;
import org.ofaedge.demo.core.TfliteEngine;

/**
 * Runs every bundled model over its sample images on a JVM, with the app's own core and shim.
 *
 * <p>RunBundle RUNTIME SHIM ASSETS OUT THREADS IMAGES. Writes OUT/NAME.inputs (what the network was fed) and OUT/NAME.logits,
 * both float32, little endian, of the first images; prints NAME, images, operators, operators without a delegate, or NAME and
 * the code of a fault.
 */
public final class RunBundle {
    private RunBundle() {}

    public static void main(String[] arguments) throws Exception {
        System.load(arguments[0]);
        System.load(arguments[1]);
        Path assets = Paths.get(arguments[2]);
        ModelStore store;
        try {
            store = new ModelStore(new Folder(assets), new TfliteEngine.Factory());
        } catch (Fault fault) {
            System.out.println("- " + fault.code);
            return;
        }
        for (BundledModel model : store.bundle().models) {
            try {
                run(store, model, Paths.get(arguments[3]), Integer.parseInt(arguments[4]),
                        Integer.parseInt(arguments[5]));
            } catch (Fault fault) {
                System.out.println(model.name + " " + fault.code);
            }
        }
    }

    private static void run(ModelStore store, BundledModel model, Path out, int threads, int most)
            throws Fault, IOException {
        BundledSamples facts = store.bundle().samplesOf(model);
        SampleSet samples = store.samples(facts);
        try (Classifier classifier = store.open(model, threads);
                OutputStream inputs = Files.newOutputStream(out.resolve(model.name + ".inputs"));
                OutputStream logits = Files.newOutputStream(out.resolve(model.name + ".logits"))) {
            int count = Math.min(most, samples.count);
            for (int i = 0; i < count; i++) {
                inputs.write(bytes(classifier.metadata.preprocessing.whole(samples.image(i))));
                Answer answer = classifier.whole(samples.image(i));
                logits.write(bytes(answer.logits));
            }
            System.out.println(model.name + " " + count + " " + classifier.engine().operators() + " "
                    + classifier.engine().undelegatedOperators());
        }
    }

    private static byte[] bytes(float[] values) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(values);
        return buffer.array();
    }

    private static final class Folder implements ModelStore.Source {
        private final Path folder;

        Folder(Path folder) {
            this.folder = folder;
        }

        @Override
        public InputStream open(String path) throws IOException {
            return Files.newInputStream(folder.resolve(path));
        }
    }
}
