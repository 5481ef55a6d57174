from collections import Counter

import numpy as np
import pytest
from onnx_text import save_graph, save_model

from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert, run_tflite
from ofa_edge.export.tflite.rewrites import file_rewrites_for, fits_for, names, rewrite, rewrites_for
from ofa_edge.export.tflite.rewrites.crop_kernels import crop_kernels
from ofa_edge.export.tflite.rewrites.fit_input import fit_input
from ofa_edge.export.tflite.rewrites.fit_ranges import fit_ranges
from ofa_edge.export.tflite.rewrites.float_depthwise import float_depthwise
from ofa_edge.export.tflite.rewrites.hard_activations import open_hard_sigmoid, open_hard_swish
from ofa_edge.export.tflite.rewrites.join_activations import join_activations
from ofa_edge.export.tflite.rewrites.join_branches import join_branches
from ofa_edge.export.tflite.rewrites.join_group_norms import join_group_norms
from ofa_edge.export.tflite.rewrites.open_average_pool import open_average_pool
from ofa_edge.export.tflite.rewrites.open_strides import open_strides
from ofa_edge.export.tflite.rewrites.own_steps import own_steps
from ofa_edge.export.tflite.rewrites.repeat_pixels import repeat_pixels
from ofa_edge.export.tflite.rewrites.round_weights import round_weights
from ofa_edge.export.tflite.rewrites.share_vectors import share_vectors
from ofa_edge.export.tflite.rewrites.sink_scales import sink_scales
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS, split_depthwise
from ofa_edge.verify.parity import compare


def run_both(path, rewritten, shape, opset=17):
    """(before, after) of the graph in `path`, flattened to rows."""
    x = np.random.default_rng(9).normal(size=(3, *shape[1:])).astype(np.float32)
    after = save_graph(path.with_suffix(".after.onnx"), rewritten, opset)
    return tuple(run_onnx(each, x).reshape(3, -1) for each in (path, after))


def operators(graph):
    return Counter(node.op for node in graph.nodes)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
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
    assert rewrites_for("dynamic") == rewrites_for("fp16") == rewrites_for("fp32")
    assert file_rewrites_for("fp32") == file_rewrites_for("fp16") == (repeat_pixels, open_strides)
    assert file_rewrites_for("dynamic") == (float_depthwise, repeat_pixels, open_strides, share_vectors)
    assert file_rewrites_for("int8") == (repeat_pixels, open_strides, share_vectors)
    assert fits_for("int8") == (fit_input, own_steps, fit_ranges, round_weights)
    assert fits_for("int8", settled=True) == fits_for("dynamic") == ()
    assert names("dynamic")[-4:] == ("float_depthwise", "repeat_pixels", "open_strides", "share_vectors")
    assert rewrites_for("fp32") == (
        join_branches,
        join_activations,
        join_group_norms,
        crop_kernels,
        split_depthwise,
        open_hard_sigmoid,
        sink_scales,
    )
    assert rewrites_for("int8") == (
        join_branches,
        join_activations,
        join_group_norms,
        crop_kernels,
        split_depthwise,
        open_hard_sigmoid,
        open_hard_swish,
        open_average_pool,
        sink_scales,
    )


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
    assert graph.outputs == ("logits",)
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
        ("group=4, pads=[2,2,3,3]", (4, 1, 6, 6)),
        ("group=4, pads=[3,3,2,2]", (4, 1, 7, 6)),
    ],
    ids=["small enough", "no padding", "dilated", "dense", "multiplier", "even", "even columns"],
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
    "into a matrix with a computed row": (
        "a = HardSwish(input) p = GlobalAveragePool(a) f = Flatten(p) c = Gemm(f, u) d = Mul(c, two) "
        "logits = Gemm(f, v, d)",
        {"u": (4, 6), "v": (4, 6), "two": np.float32(2)},
        1,
    ),
    "a number that makes a map of a row stays": (
        "p = GlobalAveragePool(input) f = Flatten(p) m = Mul(f, two) r = Reshape(m, to) logits = Gemm(r, v)",
        {"v": (4, 6), "two": np.float32(2).reshape(1, 1, 1, 1), "to": np.array([1, 4])},
        1,
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


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_kernels_larger_than_their_map_are_cropped(size, stride, tmp_path):
    shape = f"kernel_shape = [7, 7], pads = [3, 3, 3, 3], strides = [{stride}, {stride}]"
    body = f"logits = Conv <group = 3, {shape}> (input, w, b)"
    path = save_model(tmp_path / "m.onnx", body, (1, 3, size, size), w=(3, 1, 7, 7), b=(3,))
    cropped = crop_kernels(read_graph(path))
    kernel = min(7, 2 * size - 1)
    assert cropped.constants[cropped.nodes[0].inputs[1]].shape == (3, 1, kernel, kernel)
    before, after = run_both(path, cropped, (1, 3, size, size))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
    # No part of the split reads padding alone: every row of every part meets a pixel.
    for node in split_depthwise(cropped).nodes:
        if node.op == "Conv":
            rows, dilation = node.attributes["kernel_shape"][0], node.attributes.get("dilations", (1, 1))[0]
            assert any(
                0 <= row * dilation - node.attributes["pads"][0] + y < size
                for row in range(rows)
                for y in range(0, size, stride)
            )


def test_int8_of_a_large_kernel_on_a_small_map_runs(tmp_path):
    body = """
        a = Conv <group = 4, kernel_shape = [7, 7], pads = [3, 3, 3, 3]> (input, w, b)
        p = GlobalAveragePool (a)
        f = Flatten (p)
        logits = Gemm <transB = 1> (f, v)
    """
    path = save_model(tmp_path / "m.onnx", body, (1, 4, 3, 3), w=(4, 1, 7, 7), b=(4,), v=(3, 4))
    x = np.random.default_rng(0).normal(size=(64, 4, 3, 3)).astype(np.float32)
    convert(path, tmp_path / "m.tflite", "int8", x)
    assert compare(run_onnx(path, x), run_tflite(tmp_path / "m.tflite", x)).snr_db > 20


@pytest.mark.parametrize("size", [(4, 4), (7, 7), (7, 10), (2, 3)])
@pytest.mark.parametrize(("kernel", "strides", "ceil"), [(2, 2, 1), (2, 2, 0), (2, 1, 0), (3, 3, 1), (3, 2, 0)])
def test_average_pooling_becomes_a_convolution(tmp_path, size, kernel, strides, ceil):
    if min(size) < kernel:
        pytest.skip("a window larger than its map")
    pool = f"AveragePool<kernel_shape=[{kernel},{kernel}], strides=[{strides},{strides}], ceil_mode={ceil}>"
    shape = (1, 3, *size)
    path = save_model(
        tmp_path / "model.onnx", f"c = Conv(input, w) r = Relu(c) logits = {pool}(r)", shape, w=(5, 3, 1, 1)
    )
    graph = open_average_pool(read_graph(path))
    assert not operators(graph)["AveragePool"]
    before, after = run_both(path, graph, shape)
    assert compare(before, after).snr_db > 120


def test_average_pooling_knows_the_channels_of_what_joins_maps(tmp_path):
    body = "c = Conv(input, w) j = Concat<axis=1>(c, input) logits = AveragePool<kernel_shape=[2,2], strides=[2,2]>(j)"
    path = save_model(tmp_path / "model.onnx", body, (1, 3, 8, 8), w=(5, 3, 1, 1))
    graph = open_average_pool(read_graph(path))
    assert not operators(graph)["AveragePool"]
    before, after = run_both(path, graph, (1, 3, 8, 8))
    assert compare(before, after).snr_db > 120


def test_one_kernel_over_maps_of_two_sizes_is_cropped_for_each(tmp_path):
    body = (
        "a = Conv<group=4, pads=[3,3,3,3]>(input, w) p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(a) "
        "logits = Conv<group=4, pads=[3,3,3,3]>(p, w)"
    )
    path = save_model(tmp_path / "model.onnx", body, (1, 4, 6, 4), w=(4, 1, 7, 7))
    before, after = run_both(path, crop_kernels(read_graph(path)), (1, 4, 6, 4))
    assert compare(before, after).snr_db > 120


@pytest.mark.parametrize("attributes", ["kernel_shape=[7,7]", "kernel_shape=[3,3], pads=[1,1,1,1]"])
def test_other_average_pooling_is_left_alone(tmp_path, attributes):
    path = save_model(tmp_path / "model.onnx", f"logits = AveragePool<{attributes}>(input)", (1, 3, 9, 9))
    graph = read_graph(path)
    assert open_average_pool(graph) == graph


# -- join_activations --

ROOT_2, ONE, HALF = np.float32(2**0.5), np.float32(1), np.float32([0.5])
GELU = {"r": ROOT_2, "i": 1 / ROOT_2, "o": ONE, "h": HALF}
PIECES = {
    "as torch's old exporter": ("a = Div(c, r) e = Erf(a) p = Add(e, o) m = Mul(c, p) y = Mul(m, h)", "Gelu"),
    "halved first": ("a = Mul(i, c) e = Erf(a) p = Add(o, e) m = Mul(h, c) y = Mul(m, p)", "Gelu"),
    "the gate halved": ("a = Mul(c, i) e = Erf(a) p = Add(e, o) m = Mul(p, h) y = Mul(c, m)", "Gelu"),
    "hard swish": ("g = HardSigmoid<alpha=0.16666667>(c) y = Mul(g, c)", "HardSwish"),
    "not halved": ("a = Div(c, r) e = Erf(a) p = Add(e, o) y = Mul(c, p)", "Gelu"),
}


@pytest.mark.parametrize("case", PIECES)
def test_activations_in_pieces_become_one(tmp_path, case):
    body, op = PIECES[case]
    text = f"c = Conv(input, w) {body} logits = Conv(y, w)"
    path = save_model(tmp_path / "model.onnx", text, (1, 4, 5, 5), w=(4, 4, 1, 1), **GELU)
    graph = join_activations(read_graph(path))
    assert [node.op for node in sink_scales(graph).nodes] == ["Conv", op, "Conv"]
    before, after = run_both(path, graph, (1, 4, 5, 5), opset=20)
    assert compare(before, after).snr_db > 120


APART = {
    "another number": "a = Div(c, o) e = Erf(a) p = Add(e, o) m = Mul(c, p) y = Mul(m, h)",
    "divided the other way": "a = Div(r, c) e = Erf(a) p = Add(e, o) m = Mul(c, p) y = Mul(m, h)",
    "of another value": "a = Div(input, r) e = Erf(a) p = Add(e, o) m = Mul(c, p) y = Mul(m, h)",
    "another slope": "g = HardSigmoid(c) y = Mul(g, c)",
    "the gate of another": "g = HardSigmoid<alpha=0.16666667>(input) y = Mul(g, c)",
}


@pytest.mark.parametrize("case", APART)
def test_what_is_no_activation_stays(tmp_path, case):
    text = f"c = Conv(input, w) {APART[case]} logits = Conv(y, w)"
    graph = read_graph(save_model(tmp_path / "model.onnx", text, (1, 4, 5, 5), w=(4, 4, 1, 1), **GELU))
    assert join_activations(graph) is graph


def test_pieces_that_others_read_stay_beside_the_one(tmp_path):
    text = "g = HardSigmoid<alpha=0.16666667>(input) y = Mul(g, input) logits = Add(y, g)"
    path = save_model(tmp_path / "model.onnx", text, (1, 4, 5, 5))
    graph = join_activations(read_graph(path))
    assert operators(graph) == {"HardSigmoid": 1, "HardSwish": 1, "Add": 1}
    before, after = run_both(path, graph, (1, 4, 5, 5))
    assert compare(before, after).snr_db > 120


# -- join_group_norms --

BY_RESHAPES = "r = Reshape(input, to) n = InstanceNormalization(r, s, z) y = Reshape(n, back) logits = Mul(y, c)"


@pytest.mark.parametrize(("groups", "joined"), [(1, True), (2, True), (4, True), ("scaled", False)])
def test_group_norms_by_reshapes_become_one(tmp_path, groups, joined):
    count = 2 if groups == "scaled" else groups
    scale = np.full(count, 3 if groups == "scaled" else 1, np.float32)
    weights = {
        "to": np.array([0, count, -1]),
        "back": np.array([1, 4, 5, 3]),
        "s": scale,
        "z": 0 * scale,
        "c": (4, 1, 1),
    }
    path = save_model(tmp_path / "model.onnx", BY_RESHAPES, (1, 4, 5, 3), **weights)
    graph = join_group_norms(read_graph(path))
    assert (operators(graph) == {"GroupNormalization": 1, "Mul": 1}) == joined
    before, after = run_both(path, graph, (1, 4, 5, 3), opset=21)
    assert compare(before, after).snr_db > 120
