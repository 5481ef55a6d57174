"""A build's own Python example, with nothing but its runtime, NumPy and Pillow, and what its --check finds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from left import HOW, LABELS, left, only, wider
from PIL import Image

from ofa_edge.data.framing import Framing
from ofa_edge.export.onnx.run import run_onnx

PACKAGES = {"tflite": "ai-edge-litert", "onnxruntime": "onnxruntime"}
LINE = '    return normalise(pixels[np.newaxis], how["mean"], how["std"])'
FITTED = "    pixels = framed(photo, how)"
SQUARE = (
    "    from PIL import Image\n    side = min(photo.shape[:2])\n"
    "    top, first = [(length - side) // 2 for length in photo.shape[:2]]\n"
    "    image = Image.fromarray(photo[top : top + side, first : first + side])\n"
    '    pixels = np.asarray(image.resize((how["width"], how["height"]), Image.Resampling.{}))'
)
BROKEN = {
    "bgr": ("channel order", LINE, LINE.replace("pixels[np.newaxis]", "pixels[np.newaxis, ..., ::-1]")),
    "raw": ("normalisation is missing: pixels go in as 0..255", LINE, LINE.replace('how["mean"], how["std"]', "0, 1")),
    "unit": ("normalisation is missing: pixels go in as 0..1", LINE, LINE.replace('how["mean"], how["std"]', "0, 255")),
    "nearest": ("resize filter: nearest pixel", FITTED, SQUARE.format("NEAREST")),
    "bicubic": ("resize filter: bicubic", FITTED, SQUARE.format("BICUBIC")),
    "squeezed": ("missing crop", FITTED, FITTED.replace("how)", '{**how, "fit": "squeeze"})')),
    "turned": ("rows and columns are swapped", LINE, LINE + ".transpose(0, 1, 3, 2)"),
}
STORED = {  # by the runtime that takes the layout, in its own model.py
    "layout": (
        "layout: [C, H, W] where [H, W, C] is wanted",
        "values.transpose(0, 2, 3, 1)",
        "values.reshape(1, values.shape[2], values.shape[3], -1)",
    ),
    "pixels": ("quantisation: pixels - 128", "quantise(laid_out, ", "PIXELS(laid_out, "),
    "raw output": ("the integers of the output", "dequantise(part, *steps)", "part.astype(np.float32)"),
}
PIXELS = """

def PIXELS(laid_out, kind, scale, zero):
    return np.rint(laid_out * np.array({std}, np.float32) + np.array({mean}, np.float32) - 128).astype(kind)
"""


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    """Folders by runtime and precision."""
    folder = tmp_path_factory.mktemp("left")
    kinds = [("tflite", "fp32"), ("tflite", "int8"), ("onnxruntime", "fp32")]
    return {kind: left(folder / "-".join(kind), *kind) for kind in kinds}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites")
    return {name: only(folder / name, each, "numpy", "pillow") for name, each in PACKAGES.items()}


def run(build: Path, site: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-S", str(build / "example/python/classify.py"), *map(str, arguments)]
    environment = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(params=[("tflite", "fp32"), ("tflite", "int8"), ("onnxruntime", "fp32")], ids="-".join)
def kind(request):
    return request.param


def test_it_answers_as_the_build_did(builds, sites, kind, tmp_path):
    site = sites[kind[0]]
    done = run(builds[kind], site, "--check")
    assert (done.returncode, done.stdout[:12]) == (0, "ok: 8 images"), done.stdout + done.stderr
    with Image.open(builds[kind] / "golden/1.ppm") as photo:
        photo.save(tmp_path / "photo.png")
    done = run(builds[kind], site, tmp_path / "photo.png")
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in LABELS)
    command = [sys.executable, "-S", "-c", "import ofa_edge"]
    gone = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(site)}, capture_output=True, check=False)
    assert b"ModuleNotFoundError" in gone.stderr


def changed(build: Path, out: Path, file: str, old: str, new: str, more: str = "") -> Path:
    """A copy whose program is another; everything else is the same file."""
    program = out / "example/python"
    program.mkdir(parents=True)
    for path in [*build.iterdir(), *(build / "example/python").iterdir()]:
        if path.name != "example":
            (out / path.relative_to(build)).symlink_to(path)
    text = (program / file).read_text()
    assert text.count(old) == 1
    (program / file).unlink()
    (program / file).write_text(text.replace(old, new) + more)
    return out


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_preprocessing_is_named(builds, sites, kind, tmp_path, name):
    words, old, new = BROKEN[name]
    new = new.replace(" 0, 1)", " [0] * 3, [1] * 3)").replace(" 0, 255)", " [0] * 3, [255] * 3)")
    done = run(changed(builds[kind], tmp_path / "out", "classify.py", old, new), sites[kind[0]], "--check")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differs: " in done.stdout
    assert words in done.stdout.splitlines()[1], done.stdout


@pytest.mark.parametrize(("name", "precision"), [("layout", "fp32"), ("pixels", "int8"), ("raw output", "int8")])
def test_a_wrongly_stored_tensor_is_named(builds, sites, tmp_path, name, precision):
    words, old, new = STORED[name]
    build = builds["tflite", precision]
    if name == "layout":
        # --check prepares its own inputs and runs them by model.py: the mistake is made in what is given to it
        file, old = "classify.py", LINE
        new = LINE.replace("return normalise", "right = normalise")
        new += "\n    return right.reshape(1, right.shape[2], right.shape[3], -1).transpose(0, 3, 1, 2)"
        done = run(changed(build, tmp_path / "out", file, old, new), sites["tflite"], "--check")
    else:
        more = PIXELS.format(mean=HOW.mean, std=HOW.std) if name == "pixels" else ""
        wrong = changed(build, tmp_path / "wrong", "model.py", old, new, more)
        answers = tmp_path / "answers.txt"
        program = "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np, classify, check\n"
        program += "model = classify.Model(sys.argv[2])\n"
        program += "photos = [check.read_ppm(classify.BUILD / 'golden' / f'{n}.ppm') for n in range(1, 9)]\n"
        program += "np.savetxt(sys.argv[3], [model(classify.prepare(each)) for each in photos])"
        arguments = [wrong / "example/python", wrong / "model.tflite", answers]
        environment = {"PYTHONPATH": str(sites["tflite"]), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-S", "-c", program, *map(str, arguments)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        done = run(build, sites["tflite"], "--check", answers)
    assert words in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def test_another_file_is_no_mistake_of_the_preprocessing(builds, sites, tmp_path):
    build = builds["onnxruntime", "fp32"]
    out = changed(build, tmp_path / "out", "classify.py", LINE, LINE + " + np.float32(1)")
    done = run(out, sites["onnxruntime"], "--check")
    assert "cause: none of the" in done.stdout, done.stdout
    file = out / "model.ort.onnx"
    file.unlink()
    file.write_bytes((build / "model.ort.onnx").read_bytes() + b"\x32\x00")
    assert "is not the file of this build" in run(out, sites["onnxruntime"], "--check").stdout


def test_every_fit_and_a_grey_network_are_checked_too(sites, tmp_path):
    grey = {"channels": 1, "mean": (100.0,), "std": (50.0,)}
    cases = (("squeeze", "crop", "goes in as its middle square"), ("letterbox", "squeeze", "as all of it squeezed"))
    for fit, other, words in cases:
        how = wider(HOW, fit=fit, **(grey if fit == "squeeze" else {}))
        build = left(tmp_path / fit, "onnxruntime", how=how)
        assert run(build, sites["onnxruntime"], "--check").returncode == 0
        new = FITTED.replace("how)", f'{{**how, "fit": "{other}"}})')
        wrong = changed(build, tmp_path / f"{fit}-wrong", "classify.py", FITTED, new)
        done = run(wrong, sites["onnxruntime"], "--check")
        assert words in done.stdout, done.stdout


@pytest.mark.parametrize(("filtered", "channels"), [("bicubic", 3), ("bilinear", 1)])
def test_photos_framed_as_timm_does_are_framed_so_in_python(sites, tmp_path, filtered, channels):
    grey = {"channels": 1, "mean": (100.0,), "std": (50.0,)} if channels == 1 else {}
    build = left(tmp_path / "build", "onnxruntime", how=wider(HOW, framing=Framing(filtered, 0.875), **grey))
    assert not (build / "example/cpp").exists()
    assert run(build, sites["onnxruntime"], "--check").returncode == 0
    # Pillow alone, as timm's transforms say it: another way to the same pixels
    golden = json.loads((build / "golden/golden.json").read_text())
    inputs = []
    for name in golden["images"]:
        with Image.open(build / "golden" / name) as photo:
            short = 13  # floor(12 / 0.875)
            size = [int(short * side / min(photo.size)) for side in photo.size]
            image = photo.resize(size, Image.Resampling[filtered.upper()])
            left_of, top = (round((side - 12) / 2) for side in size)
            pixels = np.asarray(
                image.crop((left_of, top, left_of + 12, top + 12)).convert("L" if grey else "RGB"), np.float32
            )
        inputs.append(pixels.reshape(12, 12, channels).transpose(2, 0, 1))
    how = json.loads((build / "model.interface.json").read_text())["inputs"][0]["picture"]
    mean, std = (np.array(how[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    wanted = run_onnx(build / "model.ort.onnx", (np.stack(inputs) - mean) / std)
    assert np.fromfile(build / "golden/answers.f32", "<f4").reshape(8, -1) == pytest.approx(wanted, abs=1e-4)
    for change, words in (('"share": 1.0', "missing share"), ('"filter": "triangle"', "by a triangle")):
        new = FITTED.replace("how)", f"{{**how, {change}}})")
        wrong = changed(build, tmp_path / words.replace(" ", "-"), "classify.py", FITTED, new)
        assert words in run(wrong, sites["onnxruntime"], "--check").stdout


def test_golden_photos_are_as_the_interface_says(builds):
    build = builds["tflite", "fp32"]
    facts = json.loads((build / "golden/golden.json").read_text())
    assert facts["answers_of"] == "model.tflite"
    shapes = set()
    for name in facts["images"]:
        with Image.open(build / "golden" / name) as photo:
            shapes.add(photo.size)
    assert len(facts["images"]) == 8
    assert all(width != height for width, height in shapes)
    assert np.fromfile(build / "golden/answers.f32", "<f4").size == 8 * len(LABELS)
