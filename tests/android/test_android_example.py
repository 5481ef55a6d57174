"""The Java that a build leaves for Android, on this machine's JVM: fed what Python feeds, answering with LiteRT itself.

Android's own classes are fakes. LiteRT's Java class comes from Maven alone: one of that name stands in for it, once
to see what it is fed, once over LiteRT's library through the app's shim.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from left import HOW, left

from ofa_edge.data.pixels import dequantise, fitted, normalise, quantise
from ofa_edge.example import write
from ofa_edge.records.interface import InterfaceRecord

# Bitmaps and assets are read from files; the interpreter writes what it is given, and answers with what lies ready.
FAKES = {
    "android/graphics/Bitmap.java": """package android.graphics;
public abstract class Bitmap {
    public abstract int getWidth();
    public abstract int getHeight();
    public abstract void getPixels(int[] argb, int offset, int stride, int x, int y, int width, int height);
}
""",
    "android/content/res/AssetManager.java": """package android.content.res;
public class AssetManager {
    private final String folder;
    public AssetManager(String folder) { this.folder = folder; }
    public java.io.InputStream open(String name) throws java.io.IOException {
        return new java.io.FileInputStream(folder + "/" + name);
    }
}
""",
    "org/tensorflow/lite/Interpreter.java": """package org.tensorflow.lite;
import java.nio.ByteBuffer;
import java.nio.file.*;
public class Interpreter {
    private int runs;
    public Interpreter(ByteBuffer model) {}
    public void run(Object input, Object output) {
        byte[] given = new byte[((ByteBuffer) input).remaining()];
        ((ByteBuffer) input).get(given);
        try {
            Files.write(Paths.get("input" + ++runs), given);
            ((ByteBuffer) output).put(Files.readAllBytes(Paths.get("output")));
        } catch (java.io.IOException error) {
            throw new IllegalStateException(error);
        }
    }
    public void close() {}
}
""",
    "Main.java": """import android.content.res.AssetManager;
import android.graphics.Bitmap;
import org.ofaedge.example.OfaClassifier;
public class Main {
    public static void main(String[] arguments) throws Exception {
        AssetManager assets = new AssetManager(arguments[0]);
        OfaClassifier model = new OfaClassifier(assets);
        System.out.print(model.check(assets, 8));
        OfaClassifier.Answer answer = model.classify(new Bitmap() {
            public int getWidth() { return 3; }
            public int getHeight() { return 2; }
            public void getPixels(int[] argb, int offset, int stride, int x, int y, int width, int height) {
                java.util.Arrays.fill(argb, 0xFF102030);
            }
        });
        java.nio.file.Files.write(java.nio.file.Paths.get("label"), answer.label.getBytes("UTF-8"));
        model.close();
    }
}
""",
}

# LiteRT's library by the name of its Java class. The engine takes and gives real numbers, which hold an int8 exactly.
REAL = """package org.tensorflow.lite;
import java.nio.ByteBuffer;
import org.ofaedge.demo.core.*;
public class Interpreter {
    private final TfliteEngine engine;
    public Interpreter(ByteBuffer model) {
        System.load(System.getProperty("litert"));
        System.load(System.getProperty("shim"));
        byte[] bytes = new byte[model.capacity()];
        model.rewind();
        model.get(bytes);
        try {
            engine = new TfliteEngine(bytes, 1);
        } catch (Fault fault) {
            throw new IllegalArgumentException(fault);
        }
    }
    public void run(Object input, Object output) {
        ByteBuffer from = (ByteBuffer) input;
        ByteBuffer to = (ByteBuffer) output;
        Tensor in = engine.input();
        Tensor out = engine.output();
        float[] values = new float[in.count()];
        for (int i = 0; i < values.length; i++) {
            values[i] = in.type == Tensor.FLOAT32 ? from.getFloat() : in.dequantise(from.get());
        }
        try {
            engine.set(values);
            engine.invoke();
            for (float value : engine.get()) {
                if (out.type == Tensor.FLOAT32) {
                    to.putFloat(value);
                } else {
                    to.put(out.quantise(value));
                }
            }
        } catch (Fault fault) {
            throw new IllegalStateException(fault);
        }
    }
    public void close() { engine.close(); }
}
"""
APP = Path(__file__).resolve().parents[2] / "android_demo/app/src/main/java"


def compiled(folder: Path, build: Path, interpreter: str = "") -> None:
    """The example and its surroundings as class files, with that interpreter in place of the fake."""
    given = FAKES | ({"org/tensorflow/lite/Interpreter.java": interpreter} if interpreter else {})
    for name, text in given.items():
        (folder / "fake" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "fake" / name).write_text(text)
    files = [*(folder / "fake").rglob("*.java"), *(build / "example/android").rglob("*.java")]
    options = ["--release", "8", "-encoding", "UTF-8", "-Xlint:all,-options,-serial", "-Werror", "-d", "classes"]
    path = ["-sourcepath", os.pathsep.join(map(str, [build / "example/android", *([APP] if interpreter else [])]))]
    subprocess.run(["javac", *options, *path, *map(str, files)], cwd=folder, check=True)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def build(request, tmp_path_factory) -> Path:
    return left(tmp_path_factory.mktemp("java") / request.param, "tflite", request.param)


@pytest.fixture(scope="module")
def ran(build, tmp_path_factory) -> tuple[Path, str]:
    """The folder that the fake interpreter wrote to, and what was printed."""
    if shutil.which("javac") is None:
        (pytest.fail if os.environ.get("OFA_EDGE_ANDROID_REQUIRED") else pytest.skip)("no javac")
    folder = tmp_path_factory.mktemp("run")
    compiled(folder, build)
    sink = InterfaceRecord.model_validate_json((build / "model.interface.json").read_bytes()).outputs[0]
    (folder / "output").write_bytes(np.arange(5).astype(sink.dtype).tobytes())
    command = ["java", "-Dfile.encoding=ISO-8859-1", "-cp", "classes", "Main", str(build)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return folder, done.stdout


def test_the_input_is_pythons_to_the_bit(build, ran):
    folder, _ = ran
    source = InterfaceRecord.model_validate_json((build / "model.interface.json").read_bytes()).inputs[0]
    steps = (source.steps.scale, source.steps.zero_point) if source.steps else (0.0, 0)
    for number in range(1, 9):
        content = (build / f"golden/{number}.ppm").read_bytes()
        _, width, height, _ = content[:40].split(None, 4)[:4]
        photo = np.frombuffer(content[-3 * int(width) * int(height) :], np.uint8).reshape(int(height), int(width), 3)
        values = normalise(fitted(photo, HOW.shape, HOW.fit, HOW.channels)[np.newaxis], HOW.mean, HOW.std)
        stored = quantise(values.transpose(0, 2, 3, 1), np.dtype(source.dtype), *steps)
        assert (folder / f"input{number}").read_bytes() == stored.tobytes(), number
    assert (folder / "input9").is_file()  # of the bitmap


def test_answers_are_real_numbers_and_the_largest_is_the_label(build, ran):
    folder, printed = ran
    said = InterfaceRecord.model_validate_json((build / "model.interface.json").read_bytes())
    steps = said.outputs[0].steps
    wanted = dequantise(np.arange(5), *((steps.scale, steps.zero_point) if steps else (0.0, 0)))
    assert np.allclose(np.loadtxt(printed.splitlines()), np.tile(wanted, (8, 1)), rtol=1e-6)
    assert (folder / "label").read_text("utf-8") == said.labels[4]


def test_the_classes_that_travel_are_the_apps(build):
    for path in (build / "example/android/org/ofaedge/demo/core").iterdir():
        assert path.read_bytes() == (write.core_folder() / path.name).read_bytes()


def test_it_answers_as_the_build_does(build, toolchain, host_shim, tmp_path):
    compiled(tmp_path, build, REAL)
    libraries = [f"-Dlitert={toolchain / 'linux/liblitert-lm.so'}", f"-Dshim={host_shim}"]
    command = ["java", *libraries, "-cp", "classes", "Main", str(build)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    answers = tmp_path / "answers.txt"
    answers.write_text(done.stdout)
    check = [sys.executable, str(build / "example/python/classify.py"), "--check", str(answers)]
    good = subprocess.run(check, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    assert good.stdout.startswith("ok: 8 images")
    answers.write_text("\n".join(reversed(done.stdout.splitlines())))
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1
