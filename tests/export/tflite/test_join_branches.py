from collections import Counter

import numpy as np
import pytest
from onnx_text import save_graph, save_model

from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert, operators, run_tflite
from ofa_edge.export.tflite.rewrites.join_branches import join_branches
from ofa_edge.verify.parity import compare

SHAPE = (1, 4, 9, 11)
ENDS = {"s": (0.5, 2), "o": (-1, 1), "m": (-2, 1), "v": (0.1, 3)}
NORM = {name: np.linspace(*ends, 4, dtype=np.float32) for name, ends in ENDS.items()}
ALL = (
    "a = Conv<pads=[1,1,1,1]>(input, w3, b) c = Conv(input, w1) d = Add(a, c)"
    " n = BatchNormalization(input, s, o, m, v) "
)

JOINED = {
    "RepVGG": (ALL + "logits = Add(d, n)", {"w3": (4, 4, 3, 3), "b": (4,), "w1": (4, 4, 1, 1), **NORM}),
    "the small one first": (
        "a = Conv<strides=[2,2]>(input, w1) c = Conv<strides=[2,2], pads=[1,1,1,1]>(input, w3) logits = Add(a, c)",
        {"w3": (6, 4, 3, 3), "w1": (6, 4, 1, 1)},
    ),
    "depthwise, and the value itself": (
        "a = Conv<group=4, pads=[3,3,3,3]>(input, w7) c = Conv<group=4, pads=[1,1,1,1]>(input, w3)"
        " d = Add(a, c) logits = Add(input, d)",
        {"w7": (4, 1, 7, 7), "w3": (4, 1, 3, 3)},
    ),
    "dilated alike, and beside the centre": (
        "a = Conv<dilations=[2,1], pads=[2,0,2,2]>(input, w) c = Conv<pads=[0,0,0,0]>(input, w1) logits = Add(c, a)",
        {"w": (4, 4, 3, 3), "w1": (4, 4, 1, 1)},
    ),
    "in groups, and the value itself": (
        "a = Conv<group=2, pads=[0,1,0,1]>(input, w) logits = Add(a, input)",
        {"w": (4, 2, 1, 3)},
    ),
    "dense and depthwise": (
        "a = Conv<pads=[1,1,1,1], group=4>(input, w) c = Conv<pads=[1,1,1,1]>(input, w3, b) logits = Add(a, c)",
        {"w": (4, 1, 3, 3), "w3": (4, 4, 3, 3), "b": (4,)},
    ),
}


@pytest.mark.parametrize("case", JOINED)
def test_summed_convolutions_of_one_value_are_one(tmp_path, case):
    body, weights = JOINED[case]
    path = save_model(tmp_path / "model.onnx", body, SHAPE, **weights)
    graph = join_branches(read_graph(path))
    assert [node.op for node in graph.nodes] == ["Conv"]
    assert graph.outputs == ("logits",)
    x = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    before, after = (run_onnx(each, x) for each in (path, save_graph(tmp_path / "after.onnx", graph)))
    assert compare(before, after).snr_db > 120


W = {"w3": (4, 4, 3, 3), "w1": (4, 4, 1, 1)}
LEFT = {
    "one of them is read elsewhere": (
        "a = Conv<pads=[1,1,1,1]>(input, w3) c = Conv(input, w1) d = Add(a, c) r = Relu(a) logits = Add(d, r)",
        W,
    ),
    "an activation between": (
        "a = Conv<pads=[1,1,1,1]>(input, w3) c = Conv(input, w1) r = Relu(c) logits = Add(a, r)",
        W,
    ),
    "of two values": (
        "r = Relu(input) a = Conv<pads=[1,1,1,1]>(input, w3) c = Conv(r, w1) logits = Add(a, c)",
        W,
    ),
    "taps between the others": (
        "a = Conv<dilations=[2,2], pads=[2,2,2,2]>(input, w3) c = Conv<pads=[1,1,1,1]>(input, w) logits = Add(a, c)",
        {"w3": (4, 4, 3, 3), "w": (4, 4, 3, 3)},
    ),
    "neither covers the other": (
        "a = Conv<pads=[1,0,1,0]>(input, w) c = Conv<pads=[0,1,0,1]>(input, z) logits = Add(a, c)",
        {"w": (4, 4, 3, 1), "z": (4, 4, 1, 3)},
    ),
    "a batch norm and the value": ("n = BatchNormalization(input, s, o, m, v) logits = Add(n, input)", NORM),
    "a row that is added to each map": (
        "g = GlobalAveragePool(input) a = Conv(g, w1) logits = Add(a, input)",
        {"w1": (4, 4, 1, 1)},
    ),
    "groups of several": (
        "a = Conv<pads=[1,1,1,1]>(input, w3) c = Conv<group=2>(input, w) logits = Add(a, c)",
        {"w3": (4, 4, 3, 3), "w": (4, 2, 1, 1)},
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_such_sum_is_left_alone(tmp_path, case):
    body, weights = LEFT[case]
    graph = read_graph(save_model(tmp_path / "model.onnx", body, SHAPE, **weights))
    assert join_branches(graph) == graph


def test_a_layer_whose_branch_is_not_joined_keeps_the_others_joined(tmp_path):
    body = ALL + "r = Relu(n) logits = Add(d, r)"
    path = save_model(tmp_path / "model.onnx", body, SHAPE, w3=(4, 4, 3, 3), b=(4,), w1=(4, 4, 1, 1), **NORM)
    graph = join_branches(read_graph(path))
    assert Counter(node.op for node in graph.nodes) == {"Conv": 1, "BatchNormalization": 1, "Relu": 1, "Add": 1}


def test_the_file_has_one_convolution(tmp_path):
    body = ALL + "z = Add(d, n) logits = GlobalAveragePool(z)"
    path = save_model(tmp_path / "model.onnx", body, SHAPE, w3=(4, 4, 3, 3), b=(4,), w1=(4, 4, 1, 1), **NORM)
    convert(path, tmp_path / "model.tflite", "fp32")
    assert operators(tmp_path / "model.tflite") == ("CONV_2D", "MEAN", "RESHAPE")
    x = np.random.default_rng(3).normal(size=(3, *SHAPE[1:])).astype(np.float32)
    assert compare(run_onnx(path, x).reshape(3, -1), run_tflite(tmp_path / "model.tflite", x)).snr_db > 100
