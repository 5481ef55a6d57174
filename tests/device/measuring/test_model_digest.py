"""A model that is swapped on the device between the push and the run: what it answered counts for nothing."""

import hashlib
import platform
import random
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from plain_onnx import MODEL
from plain_onnx import OnnxProgram as SilentProgram
from platformdirs import user_cache_path
from runner_net import CLASSES, SHAPE, write_net
from tiny_tflite import CLASSES as TINY_CLASSES

from ofa_edge.device import runners
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program, onnx_program, tvm_program
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.measuring.turns import open_litert_turns, open_turns
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.device.runners.build import build_tvm_runner, build_tvm_turns
from ofa_edge.errors import OtherModelError
from ofa_edge.export.tvm.compile import compile_cpu

PLAN = LatencyPlan(sessions=1, min_runs=2, min_seconds=0.0, warmup_runs=1, warmup_seconds=0.0, warmup_limit_seconds=0.1)


class Swapping(LocalConnection):
    """This machine, on which somebody lays another model into the model's place once all was pushed."""

    def __init__(self, other: Path, name: str) -> None:
        super().__init__()
        self.other, self.file, self.swaps = other, name, 0

    def run(self, argv, timeout_s, env=None, check=True):
        if argv[0] != "sha256sum" and (place := self._place(argv)) is not None:
            shutil.copyfile(self.other, place.with_suffix(".new"))
            place.with_suffix(".new").rename(place)
            self.swaps += 1
        return super().run(argv, timeout_s, env, check)

    def _place(self, argv):
        found = [Path(word).with_name(self.file) for word in argv if word.startswith("/")]
        return next((path for path in found if path.is_file()), None)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two networks that only their weights tell apart, in each runtime's format; images for them."""
    folder = tmp_path_factory.mktemp("nets")
    images = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
    onnx = [write_net(folder / "one.onnx"), write_net(folder / "two.onnx", seed=7)]
    libraries = [
        compile_cpu(path, path.with_suffix(".so"), {"kind": "llvm", "num-cores": 1}).file.path for path in onnx
    ]
    return {"onnx": onnx, "tvm": libraries, "images": images}


@pytest.fixture
def asked(nets, artifacts, images):
    """By runtime: what is asked for, the model that takes its place, and that one's name on the device."""
    tvm = Request(nets["tvm"][0], tvm_program, nets["images"], CLASSES, runner=None)
    runner = build_tvm_runner(platform.machine(), user_cache_path("ofa-edge"))
    plain = partial(Request, inputs=nets["images"], classes=CLASSES)
    return {
        "LiteRT": (
            Request(artifacts["fp32"], litert_program, images[:3], TINY_CLASSES),
            artifacts["int8"],
            "model.tflite",
        ),
        "ONNX Runtime": (plain(nets["onnx"][0], onnx_program), nets["onnx"][1], "model.onnx"),
        "TVM": (replace(tvm, runner=runner), nets["tvm"][1], "model.so"),
        "one that does not say": (plain(nets["onnx"][0], silent), nets["onnx"][1], MODEL),
    }


def silent(connection, request, device):
    del device
    return SilentProgram(connection.python, request.artifact)


@pytest.mark.parametrize("runtime", ["LiteRT", "ONNX Runtime", "TVM", "one that does not say"])
def test_answers_of_another_model_are_refused(asked, runtime):
    request, other, name = asked[runtime]
    device = Swapping(other, name)
    with pytest.raises(OtherModelError, match="ran another model"):
        measure(device, replace(request, latency=None))
    with open_artifact(Swapping(other, name), request) as opened, pytest.raises(OtherModelError):
        opened.session(PLAN)
    assert device.swaps > 0
    assert np.isfinite(measure(LocalConnection(), replace(request, latency=PLAN)).outputs).all()


def test_so_are_turns_of_another_model(artifacts):
    for other, ends in ((artifacts["fp32"], False), (artifacts["int8"], True)):
        with open_litert_turns(Swapping(other, "a.tflite"), 1, 1.0) as program:
            files = {"a.tflite": artifacts["fp32"], "b.tflite": artifacts["int8"]}
            turns = partial(program.time, files, [program.place(name) for name in files], 1, 1.0)
            if ends:
                with pytest.raises(OtherModelError):
                    turns()
            else:
                assert turns().shape == (1, 2)


def test_and_turns_of_another_library(nets):
    program = build_tvm_turns(platform.machine(), user_cache_path("ofa-edge"))
    shapes = f"float32:1,{','.join(map(str, SHAPE))}"
    for other, ends in ((nets["tvm"][0], False), (nets["tvm"][1], True)):
        with open_turns(Swapping(other, "a.so"), program, 1, 1.0) as opened:
            turns = partial(opened.time, {"a.so": nets["tvm"][0]}, [f"{opened.place('a.so')} vm:main {shapes}"], 1, 1.0)
            if ends:
                with pytest.raises(OtherModelError):
                    turns()
            else:
                assert turns().shape == (1, 1)


def test_a_digest_that_is_none_is_another(asked):
    request, _, _ = asked["ONNX Runtime"]
    with open_artifact(LocalConnection(), request) as opened, pytest.raises(OtherModelError, match="another model"):
        opened.facts('{"model_sha256": null}')


def test_the_digest_in_cxx_is_the_one_of_python(tmp_path):
    source = tmp_path / "digest.cc"
    source.write_text(
        '#include "sha256.h"\n#include <iostream>\n'
        "int main(int, char** v) { while (*++v) std::cout << ofa::Sha256Of(*v) << std::endl; }\n"
    )
    folder = Path(runners.__file__).parent
    subprocess.run(["g++", "-std=c++17", "-I", folder, source, "-o", tmp_path / "digest"], check=True)
    draw, wanted = random.Random(1), {}
    for size in (0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1 << 16, (1 << 16) + 1, 200_003):
        path = tmp_path / f"{size}"
        path.write_bytes(draw.randbytes(size))
        wanted[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    done = subprocess.run([tmp_path / "digest", *wanted], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(wanted.values())
