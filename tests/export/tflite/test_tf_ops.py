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
from map_cases import CASES, EVEN, ODD
from onnx_text import save_model
from places import ROOT

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.run import open_session
from ofa_edge.export.tflite.tf_ops import BUILDERS, build, build_all, check_operators

NEWER = {"Gelu": 20, "num_outputs": 18, "Mish": 18, "AveragePool<kernel_shape=[3,2], strides=[2,1], dilations": 19}

RUN = """
import sys, numpy as np, tensorflow as tf
from pathlib import Path
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.tf_ops import build
for path in Path(sys.argv[1]).glob("*.onnx"):
    x = np.load(path.with_suffix(".npy")).transpose(0, 2, 3, 1)
    try:
        (y,) = (each.numpy() for each in build(tf, read_graph(path), [tf.constant(x)]).values())
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
        opset = next((opset for word, opset in NEWER.items() if word in body), 17)
        paths[case] = save_model(folder / f"{number}.onnx", body, shape, opset=opset, **weights)
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
    elsewhere = {"Upsample", "GroupNormalization"}  # of other opsets: see test_onnx_node_tests.py
    assert {name for name in BUILDERS if f"{name}(" in text or f"{name}<" in text} == BUILDERS.keys() - elsewhere


def test_an_operator_outside_the_map_is_named_before_any_work(tmp_path):
    body = "a = Relu(input) b = Sin(a) c = Tan(b) logits = Relu(c)"
    graph = read_graph(save_model(tmp_path / "model.onnx", body, EVEN))
    with pytest.raises(ConversionError) as caught:
        check_operators(graph)
    assert "node 'Sin_1', operator Sin" in caught.value.what
    assert "Sin, Tan" in caught.value.why
    assert "tf_ops" in caught.value.hint


REFUSED = {
    "weights that are computed": ("w = Relu(input) logits = Conv(input, w)", EVEN, {}, "Conv_1.*not a constant"),
    "a resize of a part": (
        'logits = Resize<mode="linear", coordinate_transformation_mode="tf_crop_and_resize">(input, r, s)',
        ODD,
        {"s": np.array([1, 1, 2, 2], np.float32), "r": np.ones(8, np.float32)},
        "Resize_0.*tf_crop_and_resize",
    ),
    "a cast to integers": ("i = Cast<to=7>(input) logits = Cast<to=1>(i)", ODD, {}, "Cast_0.*floats"),
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
        build(tensorflow, graph, [FakeTensor((batch, height, width, channels))])
    assert re.search(message, str(caught.value), re.DOTALL)


def test_a_slice_of_the_whole_is_the_tensor_itself(tmp_path):
    bounds = {"a": np.array([0, -9]), "b": np.array([4, 99]), "c": np.array([1, 3])}
    path = save_model(tmp_path / "model.onnx", "logits = Slice(input, a, b, c)", (1, 4, 5, 6), **bounds)
    given = FakeTensor((1, 5, 6, 4))
    assert build_all(SimpleNamespace(), read_graph(path), [given])["logits"].tensor is given
