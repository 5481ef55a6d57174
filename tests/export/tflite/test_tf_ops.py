"""The whole map against ONNX Runtime: TensorFlow runs every case eagerly, in one process of its own.

TensorFlow has no CPU kernel for a dilated depthwise convolution, LiteRT has: see test_tflite.py.
"""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from onnx_text import save_model
from places import ROOT

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.export import run_onnx
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.tf_ops import BUILDERS, build, check_operators

EVEN, ODD, PIXEL = (1, 4, 8, 8), (1, 4, 9, 7), (1, 4, 1, 1)
TO_ROW = "p = GlobalAveragePool(input) f = Flatten(p)"
SCALAR = np.float32(3).reshape(())

CASES = {
    **{
        f"conv {kernel}x{kernel} stride {stride} on {shape[2]}x{shape[3]}": (
            f"logits = Conv<strides=[{stride},{stride}], pads=[{kernel // 2},{kernel // 2},{kernel // 2},{kernel // 2}]"
            ">(input, w, b)",
            shape,
            {"w": (6, 4, kernel, kernel), "b": (6,)},
        )
        for kernel in (1, 3, 5)
        for stride in (1, 2)
        for shape in (EVEN, ODD)
    },
    "conv without padding or bias": ("logits = Conv(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv with uneven pads": ("logits = Conv<pads=[0,1,2,1]>(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv with uneven strides": ("logits = Conv<strides=[2,1], pads=[1,0,1,2]>(input, w)", ODD, {"w": (6, 4, 3, 3)}),
    "conv in two groups": ("logits = Conv<group=2, pads=[1,1,1,1]>(input, w)", EVEN, {"w": (6, 2, 3, 3)}),
    "depthwise, stride 2": (
        "logits = Conv<group=4, strides=[2,2], pads=[2,2,2,2]>(input, w, b)",
        EVEN,
        {"w": (4, 1, 5, 5), "b": (4,)},
    ),
    "depthwise, two outputs a channel": ("logits = Conv<group=4>(input, w)", ODD, {"w": (8, 1, 3, 3)}),
    "relu": ("logits = Relu(input)", EVEN, {}),
    "relu6": ("logits = Clip(input, zero, six)", EVEN, {"zero": SCALAR * 0, "six": SCALAR * 2}),
    "clip, above only": ("logits = Clip(input, , high)", EVEN, {"high": SCALAR / 4}),
    "clip, below only": ("logits = Clip(input, low)", EVEN, {"low": -SCALAR / 4}),
    "hard swish": ("logits = HardSwish(input)", EVEN, {}),
    "hard sigmoid": ("logits = HardSigmoid<alpha=0.16666667>(input)", EVEN, {}),
    "hard sigmoid, ONNX's slope": ("logits = HardSigmoid(input)", EVEN, {}),
    "global average": ("logits = GlobalAveragePool(input)", ODD, {}),
    **{
        f"max pool 3x3 stride {stride} on {shape[2]}x{shape[3]}{after}": (
            f"{'r = Relu(input)' if after else ''} logits = MaxPool<kernel_shape=[3,3], strides=[{stride},{stride}], "
            f"pads=[1,1,1,1]>({'r' if after else 'input'})",
            shape,
            {},
        )
        for stride in (1, 2)
        for shape in (EVEN, ODD)
        for after in ("", ", nothing below 0")
    },
    "max pool without padding": ("logits = MaxPool<kernel_shape=[2,2], strides=[2,2]>(input)", ODD, {}),
    "average pool": ("logits = AveragePool<kernel_shape=[2,2], strides=[2,2]>(input)", ODD, {}),
    "average pool, rounded up": (
        "logits = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(input)",
        ODD,
        {},
    ),
    "average pool, nothing to round": (
        "logits = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(input)",
        EVEN,
        {},
    ),
    "mean, dimensions kept": ("logits = ReduceMean<axes=[2,3]>(input)", ODD, {}),
    "mean to a row": ("logits = ReduceMean<axes=[-1,-2], keepdims=0>(input)", ODD, {}),
    "squeeze": ("logits = Squeeze(input, axes)", PIXEL, {"axes": np.array([2, 3])}),
    "flatten": ("logits = Flatten(input)", PIXEL, {}),
    "reshape": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([1, -1])}),
    "reshape, the batch left over": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([-1, 4])}),
    "a weight by another name": ("v = Identity(w) logits = Conv(input, v)", EVEN, {"w": (6, 4, 1, 1)}),
    "gemm": (f"{TO_ROW} logits = Gemm<transB=1>(f, w, b)", ODD, {"w": (5, 4), "b": (5,)}),
    "gemm, scaled": (f"{TO_ROW} logits = Gemm<alpha=2.0, beta=0.5>(f, w, b)", ODD, {"w": (4, 5), "b": (5,)}),
    "gemm without bias": (f"{TO_ROW} logits = Gemm(f, w)", ODD, {"w": (4, 5)}),
    "matmul and a row added": (f"{TO_ROW} m = MatMul(f, w) logits = Add(m, b)", ODD, {"w": (4, 5), "b": (5,)}),
    "a gate": ("p = GlobalAveragePool(input) logits = Mul(input, p)", ODD, {}),
    "a constant for each channel": ("logits = Mul(c, input)", ODD, {"c": (1, 4, 1, 1)}),
    "a constant map": ("logits = Add(input, c)", ODD, {"c": (1, 4, 9, 7)}),
    "a constant number": ("logits = Add(input, c)", ODD, {"c": SCALAR}),
    "a constant node": ("c = Constant<value_float = 2.5>() logits = Mul(input, c)", ODD, {}),
    "identity": ("i = Identity(input) logits = Relu(i)", EVEN, {}),
}

RUN = """
import sys, numpy as np, tensorflow as tf
from pathlib import Path
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.tf_ops import build
for path in Path(sys.argv[1]).glob("*.onnx"):
    x = np.load(path.with_suffix(".npy")).transpose(0, 2, 3, 1)
    y = build(tf, read_graph(path), tf.constant(x)).numpy()
    np.save(path.with_suffix(".out.npy"), y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """By case: (what ONNX Runtime gives, what TensorFlow gives)."""
    folder = tmp_path_factory.mktemp("map")
    paths = {}
    for number, (case, (body, shape, weights)) in enumerate(CASES.items()):
        paths[case] = save_model(folder / f"{number}.onnx", body, shape, **weights)
        np.save(folder / f"{number}.npy", 2 * np.random.default_rng(number).normal(size=shape).astype(np.float32))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        case: (run_onnx(path, np.load(path.with_suffix(".npy"))), np.load(path.with_suffix(".out.npy")))
        for case, path in paths.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_same_as_onnx_runtime(answers, case):
    expected, got = answers[case]
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_every_operator_of_the_map_has_a_case():
    text = " ".join(body for body, _, _ in CASES.values())
    assert {name for name in BUILDERS if f"{name}(" in text or f"{name}<" in text} == BUILDERS.keys()


def test_an_operator_outside_the_map_is_named_before_any_work(tmp_path):
    body = "a = Relu(input) b = Erf(a) c = Softplus(b) logits = Relu(c)"
    graph = read_graph(save_model(tmp_path / "model.onnx", body, EVEN))
    with pytest.raises(ConversionError) as caught:
        check_operators(graph)
    assert "node 'Erf_1', operator Erf" in caught.value.what
    assert "Erf, Softplus" in caught.value.why
    assert "tf_ops.py" in caught.value.hint


REFUSED = {
    "a map flattened": ("logits = Flatten(input)", EVEN, {}, "Flatten_0.*pool over the whole map"),
    "mean over channels": ("logits = ReduceMean<axes=[1]>(input)", EVEN, {}, "ReduceMean_0.*axes \\[1\\]"),
    "a row over a map": ("logits = Add(input, c)", EVEN, {"c": (8,)}, "Add_0.*broadcasts a row"),
    "weights that are computed": ("w = Relu(input) logits = Conv(input, w)", EVEN, {}, "Conv_1.*not a constant"),
    "pads by name": ('logits = Conv<auto_pad="SAME_UPPER">(input, w)', EVEN, {"w": (4, 4, 3, 3)}, "Conv_0.*pads"),
    "max pool, rounded up": (
        "logits = MaxPool<kernel_shape=[3,3], ceil_mode=1>(input)",
        EVEN,
        {},
        "MaxPool_0.*rounding up",
    ),
    "average pool with pads": (
        "logits = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(input)",
        EVEN,
        {},
        "AveragePool_0.*without padding",
    ),
    "average pool, overlapping and rounded up": (
        "logits = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(input)",
        EVEN,
        {},
        "AveragePool_0.*strides equal",
    ),
    "pooling with dilation": (
        "logits = MaxPool<kernel_shape=[3,3], dilations=[2,2]>(input)",
        ODD,
        {},
        "MaxPool_0.*undilated",
    ),
    "reshape to another map": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([1, 2, 2, 1])}, "Reshape_0"),
}


class FakeTensor:
    """A shape is all that a refusal looks at."""

    def __init__(self, shape):
        self.shape = shape


@pytest.mark.parametrize("case", REFUSED)
def test_a_form_outside_the_map_is_named(tmp_path, case):
    body, (batch, channels, height, width), weights, message = REFUSED[case]
    graph = read_graph(save_model(tmp_path / "model.onnx", body, (batch, channels, height, width), **weights))
    tensorflow = SimpleNamespace(nn=SimpleNamespace(relu=lambda x: x))
    with pytest.raises(ConversionError) as caught:
        build(tensorflow, graph, FakeTensor((batch, height, width, channels)))
    assert re.search(message, str(caught.value), re.DOTALL)
