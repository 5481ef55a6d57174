"""Whatever the sweep may try is right: each variant computes what the function says."""

from pathlib import Path

import numpy as np
import pytest
from onnx_text import save_model

from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules import Knobs
from ofa_edge.export.tvm.tuning.functions import is_turnable, network_functions
from ofa_edge.export.tvm.tuning.knob_variants import made, variants

A72 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 1}
RANDOM = np.random.default_rng(3)


def weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


MODELS = {
    "pointwise": ("logits = Conv <kernel_shape = [1, 1]> (input, w)", (1, 8, 6, 7), {"w": weights(48, 8, 1, 1)}),
    "depthwise": (
        "logits = Conv <kernel_shape = [5, 5], group = 24, pads = [2, 2, 2, 2], strides = [2, 2]> (input, w)",
        (1, 24, 9, 8),
        {"w": weights(24, 1, 5, 5)},
    ),
    "dense": (
        "logits = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (input, w)",
        (1, 3, 8, 6),
        {"w": weights(32, 3, 3, 3)},
    ),
}


@pytest.fixture(params=MODELS)
def model(request, tmp_path) -> tuple[str, Path, tuple[int, ...]]:
    body, shape, constants = MODELS[request.param]
    return request.param, save_model(tmp_path / "m.onnx", body, shape, **constants), shape


def only(path: Path, target, rule: str):
    (function,) = (each for each in network_functions(path, target, "fp32") if each.default.rule == rule)
    return function


def test_each_candidate_gives_the_same_answer(model):
    rule, path, shape = model
    target = tvm.make_target(tvm.host_target(), "llvm")
    function = only(path, target, rule)
    found = variants(function, target, Knobs(), 12)
    assert 2 <= len(found) <= 12
    image = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    wanted = run_onnx(path, image)
    for variant in found:
        knobs = {function.key: variant.knobs}
        library = tvm.compile_cpu(path, path.with_suffix(".so"), tvm.host_target(), chooser=knobs.get)
        assert library.schedules.fallbacks == ()
        answer = tvm.load_module(library.file.path)(image)
        assert np.abs(answer - wanted).max() <= 1e-4 * np.abs(wanted).max(), variant.knobs


def test_candidates_are_distinct_and_new(model):
    rule, path, _ = model
    target = tvm.make_target(A72, "llvm")
    function = only(path, target, rule)
    start = made(function, target, Knobs())
    found = variants(function, target, Knobs(), 99)
    digests = [each.digest for each in found]
    assert len(set(digests)) == len(digests)
    assert start.digest not in digests
    assert all(each.scheduled.rule == rule for each in found)
    rest = variants(function, target, Knobs(), 99, seen=digests[:2])
    assert {each.digest for each in rest} == set(digests[2:])
    assert [each.digest for each in variants(function, target, Knobs(), 2)] == digests[:2]


def test_equal_functions_are_one(tmp_path):
    one = "Conv <kernel_shape = [1, 1]>"
    body = f"a = {one} (input, w) b = Relu(a) c = {one} (b, v) logits = Relu(c)"
    path = save_model(tmp_path / "m.onnx", body, (1, 16, 4, 4), w=weights(16, 16, 1, 1), v=weights(16, 16, 1, 1))
    target = tvm.make_target(tvm.host_target(), "llvm")
    (function,) = network_functions(path, target, "fp32")
    assert function.calls == 2
    assert function.work == 16 * 16 * 16


def test_rules_without_choices():
    assert not is_turnable("elementwise", 1)
    assert not is_turnable("default", 4)
    assert is_turnable("pooling", 2)
    assert is_turnable("depthwise", 1)
