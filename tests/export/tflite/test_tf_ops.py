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
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.run import open_session
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
    # Layouts: axes written anew, and moved where they have to be.
    "a map flattened": ("logits = Flatten(input)", ODD, {}),
    "a map flattened at another axis": ("logits = Flatten<axis=2>(input)", ODD, {}),
    "reshape to another map": ("logits = Reshape(input, to)", PIXEL, {"to": np.array([1, 2, 2, 1])}),
    "tokens of a map": (
        "r = Reshape(input, to) logits = Transpose<perm=[0,2,1]>(r)",
        ODD,
        {"to": np.array([0, 4, -1])},
    ),
    "shuffled channels": (
        "r = Reshape(input, to) t = Transpose<perm=[0,2,1,3,4]>(r) logits = Reshape(t, back)",
        EVEN,
        {"to": np.array([1, 2, 2, 8, 8]), "back": np.array([1, 4, 8, 8])},
    ),
    "transposed and convolved": ("t = Transpose<perm=[0,2,1,3]>(input) logits = Conv(t, w)", EVEN, {"w": (3, 8, 3, 3)}),
    "transposed there and back": (
        "t = Transpose<perm=[0,2,3,1]>(input) s = Relu(t) logits = Transpose<perm=[0,3,1,2]>(s)",
        ODD,
        {},
    ),
    "transposed, then a row added": ("t = Transpose<perm=[0,2,3,1]>(input) logits = Add(t, c)", ODD, {"c": (4,)}),
    "two layouts added": (
        "t = Transpose<perm=[0,1,3,2]>(input) logits = Add(t, input)",
        EVEN,
        {},
    ),
    "a row over a map": ("logits = Add(input, c)", EVEN, {"c": (8,)}),
    "a column over a map": ("logits = Mul(input, c)", EVEN, {"c": (4, 1, 1)}),
    "a larger constant": ("r = Reshape(input, to) logits = Add(r, c)", PIXEL, {"to": np.array([1, 4]), "c": (3, 1, 4)}),
    "squeeze, all": ("logits = Squeeze(input)", (1, 4, 1, 7), {}),
    "squeeze and unsqueeze": (
        "s = Squeeze(input, out) logits = Unsqueeze(s, in_)",
        (1, 4, 1, 7),
        {"out": np.array([2]), "in_": np.array([1, -1])},
    ),
    "concat of channels": ("a = Relu(input) logits = Concat<axis=1>(a, input, c)", ODD, {"c": (1, 2, 9, 7)}),
    "concat of two layouts": ("t = Transpose<perm=[0,1,3,2]>(input) logits = Concat<axis=-1>(input, t)", EVEN, {}),
    "slice": (
        "logits = Slice(input, a, b, c, d)",
        ODD,
        {"a": np.array([1, -3]), "b": np.array([2**60, -(2**60)]), "c": np.array([1, 2]), "d": np.array([2, -1])},
    ),
    "split": ("a, b = Split<axis=1>(input, parts) logits = Concat<axis=1>(b, a)", ODD, {"parts": np.array([1, 3])}),
    "split in equal parts": ("a, b = Split<axis=1, num_outputs=2>(input) logits = Sub(a, b)", ODD, {}),
    "pad": ("logits = Pad(input, to)", ODD, {"to": np.array([0, 1, 0, 2, 0, 0, 3, 1])}),
    "pad by a number": ("logits = Pad(input, to, v)", ODD, {"to": np.array([0, 0, 1, 2, 0, 0, 3, 1]), "v": SCALAR}),
    "pad, mirrored": ('logits = Pad<mode="reflect">(input, to)', ODD, {"to": np.array([0, 0, 1, 2, 0, 0, 3, 1])}),
    "expand": ("p = GlobalAveragePool(input) logits = Expand(p, to)", ODD, {"to": np.array([1, 4, 3, 5])}),
    "gather": ("logits = Gather<axis=1>(input, at)", ODD, {"at": np.array([2, -1, 0])}),
    "gather by a table": ("logits = Gather<axis=1>(input, at)", ODD, {"at": np.array([[2, -1, 0], [1, 1, 3]])}),
    "gather one": ("logits = Gather<axis=2>(input, at)", ODD, {"at": np.array(3)}),
    "depth to space": ("logits = DepthToSpace<blocksize=2>(input)", EVEN, {}),
    "depth to space, channels first": ('logits = DepthToSpace<blocksize=2, mode="CRD">(input)', (1, 8, 3, 5), {}),
    "space to depth": ("logits = SpaceToDepth<blocksize=2>(input)", EVEN, {}),
    # Sizes.
    **{
        f"resize {mode}, {where}, by {factor}": (
            f'logits = Resize<mode="{mode}", coordinate_transformation_mode="{where}">(input, , scales)',
            ODD,
            {"scales": np.array([1, 1, factor, factor], np.float32)},
        )
        for mode in ("nearest", "linear")
        for where in ("half_pixel", "asymmetric", "align_corners")
        for factor in (2, 1.5)
        if (mode, factor) != ("linear", 1.5) or where == "align_corners"
    },
    "resize to sizes": ("logits = Resize(input, , , to)", ODD, {"to": np.array([1, 4, 5, 21])}),
    "upsample": (
        'logits = Resize<nearest_mode="floor", coordinate_transformation_mode="asymmetric">(input, , s)',
        ODD,
        {"s": np.array([1, 1, 3, 3], np.float32)},
    ),
    # Windows.
    "pads by name": ('logits = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(input, w)', EVEN, {"w": (4, 4, 3, 3)}),
    "pads by name, in front": (
        'logits = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(input, w)',
        EVEN,
        {"w": (4, 4, 3, 3)},
    ),
    "max pool, rounded up": ("logits = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(input)", EVEN, {}),
    "max pool, wide pads": ("logits = MaxPool<kernel_shape=[3,3], pads=[2,2,2,2]>(input)", ODD, {}),
    **{
        f"average pool with pads, {'' if counted else 'not '}counted, on {shape[2]}x{shape[3]}": (
            "logits = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], "
            f"count_include_pad={counted}>(input)",
            shape,
            {},
        )
        for counted in (0, 1)
        for shape in (EVEN, ODD)
    },
    "average pool, overlapping and rounded up": (
        "logits = AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(input)",
        EVEN,
        {},
    ),
    "global maximum": ("logits = GlobalMaxPool(input)", ODD, {}),
    "conv transpose": (
        "logits = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(input, w, b)",
        ODD,
        {"w": (4, 3, 3, 3), "b": (3,)},
    ),
    "conv transpose, plain": ("logits = ConvTranspose<strides=[2,3]>(input, w)", ODD, {"w": (4, 3, 2, 3)}),
    # One element at a time.
    **{
        name.lower(): (f"logits = {name}(input)", ODD, {})
        for name in (
            "Abs",
            "Dropout",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "Gelu",
            "LeakyRelu",
            "Neg",
            "Sigmoid",
            "Softmax",
            "Tanh",
        )
    },
    "gelu by tanh": ('logits = Gelu<approximate="tanh">(input)', ODD, {}),
    "cast": ("logits = Cast<to=1>(input)", ODD, {}),
    "root": ("a = Abs(input) logits = Sqrt(a)", ODD, {}),
    "logarithm": ("a = Exp(input) s = Mul(a, a) logits = Log(s)", ODD, {}),
    "reciprocal": ("a = Exp(input) logits = Reciprocal(a)", ODD, {}),
    "division": ("a = Exp(input) logits = Div(input, a)", ODD, {}),
    "a number over a map": ("a = Exp(input) logits = Div(c, a)", ODD, {"c": SCALAR}),
    "difference": ("logits = Sub(c, input)", ODD, {"c": (1, 4, 1, 1)}),
    "square": ("logits = Pow(input, c)", ODD, {"c": np.float32(2).reshape(())}),
    "cube of an exponential": ("a = Exp(input) logits = Pow(a, c)", ODD, {"c": SCALAR / 2}),
    "maximum of three": ("a = Neg(input) logits = Max(input, a, c)", ODD, {"c": SCALAR / 4}),
    "minimum": ("a = Neg(input) logits = Min(input, a)", ODD, {}),
    "prelu": ("logits = PRelu(input, c)", ODD, {"c": (4, 1, 1)}),
    "softmax over channels": ("logits = Softmax<axis=1>(input)", ODD, {}),
    # Normalisation.
    "batch normalisation": (
        "logits = BatchNormalization(input, s, b, m, w)",
        ODD,
        {"s": (4,), "b": (4,), "m": (4,), "w": np.arange(1, 5, dtype=np.float32)},
    ),
    "instance normalisation": ("logits = InstanceNormalization(input, s, b)", ODD, {"s": (4,), "b": (4,)}),
    "layer normalisation": ("logits = LayerNormalization(input, s, b)", ODD, {"s": (7,), "b": (7,)}),
    "layer normalisation of channels": (
        "t = Transpose<perm=[0,2,3,1]>(input) n = LayerNormalization(t, s, b) logits = Transpose<perm=[0,3,1,2]>(n)",
        ODD,
        {"s": (4,), "b": (4,)},
    ),
    # Sums.
    "mean over channels": ("logits = ReduceMean<axes=[1]>(input)", EVEN, {}),
    "mean of everything": ("logits = ReduceMean<axes=[1,2,3], keepdims=0>(input)", EVEN, {}),
    "reducesum": ("logits = ReduceSum<keepdims=0>(input, axes)", ODD, {"axes": np.array([1, -1])}),
    "reducel2": ("logits = ReduceL2<axes=[1, 3], keepdims=0>(input)", ODD, {}),
    "reducemax": ("logits = ReduceMax<axes=[1, 3], keepdims=0>(input)", ODD, {}),
    "reducemin": ("logits = ReduceMin<axes=[2]>(input)", ODD, {}),
    # Products.
    "attention": (
        "t = Reshape(input, to) q = MatMul(t, w) k = Transpose<perm=[0,2,1]>(t) s = MatMul(q, k) p = Softmax(s) "
        "logits = MatMul(p, t)",
        EVEN,
        {"to": np.array([1, 16, 16]), "w": (16, 16)},
    ),
    "gemm of a column": (f"{TO_ROW} logits = Gemm<transA=1>(f, w)", ODD, {"w": (1, 5)}),
}

RUN = """
import sys, numpy as np, tensorflow as tf
from pathlib import Path
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.tf_ops import build
for path in Path(sys.argv[1]).glob("*.onnx"):
    x = np.load(path.with_suffix(".npy")).transpose(0, 2, 3, 1)
    try:
        y = build(tf, read_graph(path), tf.constant(x)).numpy()
    except Exception as error:
        y = np.array(f"{type(error).__name__}: {error}")
    np.save(path.with_suffix(".out.npy"), y)
"""


def in_its_own_shape(path, inputs):
    session = open_session(path)
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """By case: (what ONNX Runtime gives, what TensorFlow gives)."""
    folder = tmp_path_factory.mktemp("map")
    paths = {}
    for number, (case, (body, shape, weights)) in enumerate(CASES.items()):
        newer = "Gelu" in body or "num_outputs" in body
        paths[case] = save_model(folder / f"{number}.onnx", body, shape, opset=20 if newer else 17, **weights)
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
        case: (in_its_own_shape(path, np.load(path.with_suffix(".npy"))), np.load(path.with_suffix(".out.npy")))
        for case, path in paths.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_same_as_onnx_runtime(answers, case):
    expected, got = answers[case]
    assert got.dtype == np.float32, got
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_every_operator_of_the_map_has_a_case():
    text = " ".join(body for body, _, _ in CASES.values())
    older = {"Upsample"}  # of opset 9 and before, which the models here are not
    assert {name for name in BUILDERS if f"{name}(" in text or f"{name}<" in text} == BUILDERS.keys() - older


def test_an_operator_outside_the_map_is_named_before_any_work(tmp_path):
    body = "a = Relu(input) b = Sin(a) c = Softplus(b) logits = Relu(c)"
    graph = read_graph(save_model(tmp_path / "model.onnx", body, EVEN))
    with pytest.raises(ConversionError) as caught:
        check_operators(graph)
    assert "node 'Sin_1', operator Sin" in caught.value.what
    assert "Sin, Softplus" in caught.value.why
    assert "tf_ops" in caught.value.hint


REFUSED = {
    "weights that are computed": ("w = Relu(input) logits = Conv(input, w)", EVEN, {}, "Conv_1.*not a constant"),
    "pooling with dilation": (
        "logits = MaxPool<kernel_shape=[3,3], dilations=[2,2]>(input)",
        ODD,
        {},
        "MaxPool_0.*undilated",
    ),
    "a cubic resize": (
        'logits = Resize<mode="cubic">(input, , s)',
        ODD,
        {"s": np.array([1, 1, 2, 2], np.float32)},
        "Resize_0.*cubic",
    ),
    "a cast to integers": ("i = Cast<to=7>(input) logits = Cast<to=1>(i)", ODD, {}, "Cast_0.*floats"),
    "a linear resize to part of a pixel": (
        'logits = Resize<mode="linear">(input, , s)',
        ODD,
        {"s": np.array([1, 1, 1.5, 1.5], np.float32)},
        "Resize_0.*whole number",
    ),
    "edges repeated": (
        'logits = Pad<mode="edge">(input, to)',
        ODD,
        {"to": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        "Pad_0.*edge",
    ),
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
