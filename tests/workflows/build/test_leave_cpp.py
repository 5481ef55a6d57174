"""The C++ examples: compiled with g++ and run here, and cross-compiled and run on the emulated arm64 system."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import onnx
import pytest
from left import LABELS, emulated_gpu, left
from onnx import numpy_helper

from ofa_edge.device.emulation.emulated import emulation_available, open_emulated
from ofa_edge.device.emulation.sysroot import SITE
from ofa_edge.errors import DeviceError, ToolMissingError

KINDS = [("tflite", "fp32"), ("tflite", "int8"), ("onnxruntime", "fp32"), ("tvm", "fp32")]
ARM = "aarch64"
# All answers of the mistakes that Python knows, one file each, by the example's own modules.
MISTAKES = """
import sys, json
import numpy as np, check, classify
golden = json.loads((classify.BUILD / "golden/golden.json").read_text())
photos = [check.read_ppm(classify.BUILD / "golden" / name) for name in golden["images"]]
model = classify.Model(str(classify.BUILD / classify.INTERFACE["file"]))
names = []
for name, answers in check.answers(classify.INTERFACE, model, photos):
    np.savetxt(f"{sys.argv[1]}/{len(names)}.txt", answers, fmt="%.9g")
    names.append(name)
print(json.dumps(names))
"""


def make(build: Path, *settings: str) -> Path:
    if shutil.which("make") is None or shutil.which("g++") is None:
        pytest.skip("no make, or no g++")
    folder = build / "example/cpp"
    command = ["make", "-s", "-C", str(folder), "CXXFLAGS=-O1 -Werror", f"PYTHON={sys.executable}", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "classify"


def check(
    program: Path, build: Path, *arguments: object, settings: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.CompletedProcess[str]":
    command = [str(program), str(build), "--check", *map(str, arguments)]
    environment = {**os.environ, **settings}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def build(request, tmp_path_factory):
    return left(tmp_path_factory.mktemp("cpp") / "-".join(request.param), *request.param)


@pytest.fixture(scope="module")
def program(build):
    return make(build)


def test_it_answers_as_the_build_did(build, program):
    done = check(program, build)
    assert (done.returncode, done.stdout[:12]) == (0, "ok: 8 images"), done.stdout + done.stderr


def test_classes_have_their_names(build, program, tmp_path):
    shutil.copy(build / "golden/1.ppm", tmp_path / "photo.ppm")
    done = subprocess.run([program, build, tmp_path / "photo.ppm"], capture_output=True, check=True)
    assert all(label.encode() in done.stdout for label in LABELS)
    (tmp_path / "photo.ppm").write_bytes(b"P6\n99999999 99999999\n255\n")
    assert subprocess.run([program, build, tmp_path / "photo.ppm"], capture_output=True, check=False).returncode == 1


def test_it_names_every_mistake_as_python_does(build, program, tmp_path):
    if not (build / "example/python").is_dir():
        pytest.skip("this runtime has no Python example to make the mistakes")
    environment = {**os.environ, "PYTHONPATH": str(build / "example/python")}
    made = subprocess.run(
        [sys.executable, "-c", MISTAKES, tmp_path], capture_output=True, text=True, env=environment, check=True
    )
    names = json.loads(made.stdout)
    assert len(names) > 12
    for number, name in enumerate(names):
        done = check(program, build, tmp_path / f"{number}.txt")
        if name and "not the antialiased triangle" not in name:
            assert done.returncode == 1, name
            assert f"cause: {name} (" in done.stdout, done.stdout
        elif name:  # at int8's tolerance another filter may pass; its sums are rounded in another order
            assert done.returncode == 0 or name in done.stdout, (name, done.stdout)
        else:
            assert done.returncode == 0


def test_another_model_is_no_mistake_of_the_preprocessing(build, program, tmp_path):
    if not (build / "model.ort.onnx").is_file():
        pytest.skip("one runtime shows it, whose model is changed in a line")
    other = shutil.copytree(build, tmp_path / "other", symlinks=True)
    model = onnx.load(build / "model.ort.onnx")
    weights = next(each for each in model.graph.initializer if each.name == "d")
    weights.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(weights), "d"))
    onnx.save(model, other / "model.ort.onnx")
    done = check(program, other)
    assert done.returncode == 1
    assert "cause: not the preprocessing" in done.stdout


def test_it_runs_the_kernels_of_a_gpu(tmp_path):
    """A GPU that is emulated: the driver runs the very kernels as C++ and keeps account of what it is given."""
    try:
        build = left(tmp_path / "build", "tvm-cuda", "fp16")
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    program = make(build)
    done = check(program, build)
    assert done.returncode == 1
    assert "cannot load the model: no NVIDIA driver: libcuda.so.1" in done.stderr
    gpu = emulated_gpu(build)
    done = check(program, build, settings=gpu)
    assert (done.returncode, done.stdout[:12]) == (0, "ok: 8 images"), done.stdout + done.stderr
    log = [json.loads(line) for line in Path(gpu["OFA_EDGE_CUDA_LOG"]).read_text().splitlines()]
    assert sum(line["call"] == "cuLaunchKernel" for line in log) >= 8 * 2  # each photo by at least two kernels
    assert log[-1] == {"call": "exit", "memory": 0, "modules": 0, "contexts": 0}  # all was given back


@pytest.mark.parametrize("name", ["golden/1.ppm", "golden/answers.f32", "model.interface.json"])
def test_nothing_is_judged_by_a_damaged_file(build, program, tmp_path, name):
    other = shutil.copytree(build, tmp_path / "other", symlinks=True, ignore=shutil.ignore_patterns("example"))
    whole = (other / name).read_bytes()
    (other / name).write_bytes(whole[:-2] + b"  ")
    done = check(program, other)
    assert (done.returncode, done.stdout[: 21 + len(name)]) == (3, f"nothing was checked: {name}")
    (other / name).unlink()
    assert check(program, other).returncode == 3


@pytest.fixture(scope="module")
def emulated():
    """The emulated arm64 system and its compiler; the tests that need it say why they cannot have it."""
    reason = emulation_available(ARM)
    if reason is None and shutil.which(f"{ARM}-linux-gnu-g++") is None:
        reason = f"no g++ for {ARM}"
    if reason is not None:
        pytest.skip(reason)
    try:
        connection = open_emulated("cortex-a72")
    except (DeviceError, ToolMissingError) as error:
        pytest.skip(f"{error.what}: {error.why}")
    yield connection
    connection.close()


@pytest.mark.skipif(platform.machine() == ARM, reason="this machine is one")
@pytest.mark.parametrize(("runtime", "precision"), KINDS)
def test_it_answers_so_on_emulated_arm64(emulated, tmp_path, runtime, precision):
    try:
        build = left(tmp_path / "build", runtime, precision, arch=ARM)
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    view = Path(emulated.emulate(Path("qemu"), (), ["/bin/sh"])[4])
    libraries = f"LITERT={view / SITE / 'ai_edge_litert'}", f"ONNXRUNTIME={view / SITE / 'onnxruntime/capi'}"
    program = make(build, f"CXX={ARM}-linux-gnu-g++", *libraries)
    done = emulated.run([str(program), str(build), "--check"], timeout_s=300)
    assert done.stdout[:12] == "ok: 8 images", done.stdout + done.stderr
    if (build / "example/python").is_dir():
        script = build / "example/python/classify.py"
        done = emulated.run([*emulated.python, str(script), "--check"], timeout_s=300)
        assert done.stdout[:12] == "ok: 8 images", done.stdout + done.stderr
