from collections import Counter

import numpy as np
import pytest
from onnx_text import save_graph, save_model

from ofa_edge.export.graph import read_graph
from ofa_edge.export.onnx import run_onnx
from ofa_edge.export.parity import compare
from ofa_edge.export.rewrites import rewrite, rewrites_for
from ofa_edge.export.rewrites.hard_activations import open_hard_sigmoid, open_hard_swish
from ofa_edge.export.rewrites.sink_scales import sink_scales
from ofa_edge.export.rewrites.split_depthwise import MAX_TAPS, split_depthwise


def run_both(path, rewritten, shape):
    """(before, after) of the graph in `path`, flattened to rows."""
    x = np.random.default_rng(9).normal(size=(3, *shape[1:])).astype(np.float32)
    after = save_graph(path.with_suffix(".after.onnx"), rewritten)
    return tuple(run_onnx(each, x).reshape(3, -1) for each in (path, after))


def operators(graph):
    return Counter(node.op for node in graph.nodes)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_whole_list_keeps_the_answers(onnx_path, images, reference, precision, tmp_path):
    graph = rewrite(read_graph(onnx_path), precision)
    answers = run_onnx(save_graph(tmp_path / "after.onnx", graph), images)
    assert compare(reference, answers).snr_db > 100
    assert operators(graph)["HardSigmoid"] == 0
    assert (operators(graph)["HardSwish"] == 0) == (precision == "int8")
    assert not [n for n in graph.nodes if n.op == "Mul" and any(i in graph.constants for i in n.inputs)], "factors left"
    taps = [np.prod(graph.constants[n.inputs[1]].shape[2:]) for n in graph.nodes if n.attributes.get("group", 1) > 1]
    assert len(taps) > 6
    assert max(taps) <= MAX_TAPS


def test_the_order_is_what_it_says():
    assert rewrites_for("fp32") == (split_depthwise, open_hard_sigmoid, sink_scales)
    assert rewrites_for("int8") == (split_depthwise, open_hard_sigmoid, open_hard_swish, sink_scales)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 14, 15])
@pytest.mark.parametrize(("kernel", "parts"), [(7, 3), (9, 5), (11, 6)])
def test_large_depthwise_kernels_are_split(tmp_path, kernel, parts, size, stride):
    half = kernel // 2
    body = f"logits = Conv<group=4, strides=[{stride},{stride}], pads=[{half},{half},{half},{half}]>(input, w, b)"
    shape = (1, 4, size, size)
    path = save_model(tmp_path / "model.onnx", body, shape, w=(4, 1, kernel, kernel), b=(4,))
    graph = split_depthwise(read_graph(path))
    assert operators(graph) == {"Conv": parts, "Add": parts - 1}
    assert graph.output == "logits"
    before, after = run_both(path, graph, shape)
    assert compare(before, after).snr_db > 120


@pytest.mark.parametrize(
    ("attributes", "weight"),
    [
        ("group=4, pads=[2,2,2,2]", (4, 1, 5, 5)),
        ("group=4, pads=[0,0,0,0]", (4, 1, 7, 7)),
        ("group=4, pads=[6,6,6,6], dilations=[2,2]", (4, 1, 7, 7)),
        ("group=1, pads=[3,3,3,3]", (4, 4, 7, 7)),
        ("group=4, pads=[3,3,3,3]", (8, 1, 7, 7)),
    ],
    ids=["small enough", "no padding", "dilated", "dense", "multiplier"],
)
def test_other_convolutions_are_left_alone(tmp_path, attributes, weight):
    path = save_model(tmp_path / "m.onnx", f"logits = Conv<{attributes}>(input, w)", (1, 4, 15, 15), w=weight)
    graph = read_graph(path)
    assert split_depthwise(graph) == graph


SCALE_CASES = {
    "into the next layer, through what is homogeneous": (
        "a = HardSwish(input) r = Relu(a) p = GlobalAveragePool(r) logits = Conv(p, w, b)",
        {"w": (5, 4, 1, 1), "b": (5,)},
        0,
    ),
    "gate and gated both scaled": (
        "a = HardSwish(input) p = ReduceMean<axes=[2,3]>(a) q = Conv(p, w, b)"
        "g = HardSigmoid<alpha=0.16666667>(q) m = Mul(a, g) logits = Conv(m, w, b)",
        {"w": (4, 4, 1, 1), "b": (4,)},
        0,
    ),
    "a shortcut, the other side a layer": (
        "a = HardSwish(input) c = Conv(a, w, b) s = Add(a, c) logits = Conv(s, w, b)",
        {"w": (4, 4, 1, 1), "b": (4,)},
        0,
    ),
    "a shortcut, the other side read twice": (
        "a = HardSwish(input) c = Conv(a, w, b) s = Add(a, c) t = Relu(c) u = Add(s, t) logits = Conv(u, w, b)",
        {"w": (4, 4, 1, 1), "b": (4,)},
        1,
    ),
    "both sides scaled alike": (
        "a = HardSwish(input) r = Relu(input) c = HardSwish(r) s = Add(a, c) logits = Conv(s, w)",
        {"w": (4, 4, 1, 1)},
        0,
    ),
    "the output itself": ("logits = HardSwish(input)", {}, 1),
    "scaled and read as it is": (
        "c = Conv(input, w, b) h = Mul(c, two) s = Add(h, c) logits = Conv(s, w, b)",
        {"w": (4, 4, 1, 1), "b": (4,), "two": np.float32(2).reshape(1, 1, 1, 1)},
        1,
    ),
    "a negative factor stays": (
        "h = Mul(input, minus) r = Relu(h) logits = Conv(r, w)",
        {"w": (4, 4, 1, 1), "minus": np.float32(-2).reshape(1)},
        1,
    ),
    "into a matrix": (
        "a = HardSwish(input) p = GlobalAveragePool(a) f = Flatten(p) logits = Gemm<alpha=0.5, transB=1>(f, v, b)",
        {"v": (6, 4), "b": (6,)},
        0,
    ),
}


@pytest.mark.parametrize("case", SCALE_CASES)
def test_scales_sink(tmp_path, case):
    body, weights, left = SCALE_CASES[case]
    shape = (1, 4, 5, 5)
    path = save_model(tmp_path / "model.onnx", body, shape, **weights)
    graph = sink_scales(open_hard_swish(open_hard_sigmoid(read_graph(path))))
    factors = [n for n in graph.nodes if n.op == "Mul" and any(name in graph.constants for name in n.inputs)]
    assert len(factors) == left
    before, after = run_both(path, graph, shape)
    assert compare(before, after).snr_db > 120


def test_a_hard_sigmoid_of_another_slope_stays(tmp_path):
    path = save_model(tmp_path / "model.onnx", "logits = HardSigmoid(input)", (1, 4, 5, 5))
    assert operators(open_hard_sigmoid(read_graph(path))) == {"HardSigmoid": 1}
