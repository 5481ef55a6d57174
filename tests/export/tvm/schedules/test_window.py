from dataclasses import replace

import pytest
from compiled import avx2, rules, run

from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.isa import Isa, isa_of
from ofa_edge.export.tvm.schedules.knobs import default_knobs
from ofa_edge.export.tvm.schedules.window import window_tile


def body(kernel, stride, groups=1, end="logits = Relu(y)"):
    half = kernel // 2
    pads = f"[{half},{half},{half},{half}]"
    return f"y = Conv<group={groups}, strides=[{stride},{stride}], pads={pads}>(input, w, b) {end}"


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize(("size", "channels"), [(14, 24), (7, 72), (13, 10)])
def test_depthwise(kernel, stride, size, channels):
    facts = run(
        body(kernel, stride, channels), (1, channels, size, size), w=(channels, 1, kernel, kernel), b=(channels,)
    )
    assert rules(facts) == {"depthwise": 1}


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "channels"), [(9, 1, 5, 16), (3, 1, 1, 8), (7, 2, 3, 3), (5, 2, 28, 40), (3, 1, 56, 1)]
)
def test_depthwise_at_the_edges(kernel, stride, size, channels):
    facts = run(
        body(kernel, stride, channels), (1, channels, size, size), w=(channels, 1, kernel, kernel), b=(channels,)
    )
    assert not facts.fallbacks


def test_even_kernels_and_uneven_padding():
    text = "y = Conv<group=16, pads=[0,1,1,0]>(input, w) logits = Relu(y)"
    assert rules(run(text, (1, 16, 8, 8), w=(16, 1, 2, 2))) == {"depthwise": 1}


def test_depthwise_on_maps_that_are_not_square():
    assert rules(run(body(5, 2, 24), (1, 24, 9, 20), w=(24, 1, 5, 5), b=(24,))) == {"depthwise": 1}


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "inputs", "outputs"),
    [(3, 2, 32, 3, 16), (3, 1, 14, 24, 40), (3, 2, 7, 8, 24), (5, 1, 6, 4, 10), (3, 1, 1, 5, 7), (7, 2, 17, 3, 64)],
)
def test_dense(kernel, stride, size, inputs, outputs):
    text = body(kernel, stride)
    facts = run(text, (1, inputs, size, size), w=(outputs, inputs, kernel, kernel), b=(outputs,))
    assert rules(facts) == {"dense": 1}


@pytest.mark.parametrize(("height", "width"), [(14, 14), (6, 10), (2, 3)])
def test_dense_in_tiles_of_two_lines(height, width):
    facts = run(body(3, 1), (1, 16, height, width), w=(64, 16, 3, 3), b=(64,))
    assert rules(facts) == {"dense": 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "attributes", "shape"),
    [
        (3, "strides=[2,2], pads=[1,1,1,1]", (30, 22)),
        (1, "pads=[0,1,1,0]", (9, 7)),
        (4, "strides=[1,2], dilations=[2,1], pads=[2,1,2,1]", (12, 16)),
        (3, "strides=[4,4]", (27, 27)),
    ],
)
def test_a_picture_is_read_as_it_lies(channels, attributes, shape, threads):
    text = f"y = Conv<{attributes}>(input, w, b) logits = Relu(y)"
    target = tvm.host_target(cores=threads)
    knobs = replace(default_knobs(isa_of(tvm.make_target(target, "llvm"))), parallel_work=1)
    facts = run(text, (1, channels, *shape), target, knobs=knobs, w=(24, channels, 3, 3), b=(24,))
    assert rules(facts) == {"dense": 1}
    assert facts.to_json()["rules"].get("elementwise", 0) == 1  # the answer's transpose; the picture has none


def test_a_picture_that_others_read_too():
    text = "y = Conv<pads=[1,1,1,1]>(input, w, b) p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(input) "
    facts = run(text + "logits = Concat<axis=1>(y, p)", (1, 3, 12, 12), w=(5, 3, 3, 3), b=(5,))
    assert rules(facts) == {"dense": 1, "pooling": 1}


def test_dense_with_a_residual():
    text = body(3, 1, end="z = Add(y, input) logits = Relu(z)")
    assert rules(run(text, (1, 24, 10, 10), w=(24, 24, 3, 3), b=(24,))) == {"dense": 1}


def test_avx2():
    facts = run(body(5, 2, 24), (1, 24, 15, 15), avx2(), w=(24, 1, 5, 5), b=(24,))
    assert rules(facts) == {"depthwise": 1}


@pytest.mark.parametrize(
    ("groups", "inputs", "outputs", "kernel", "stride"),
    [(2, 8, 12, 3, 1), (3, 24, 24, 3, 2), (5, 40, 80, 5, 1), (4, 16, 4, 3, 1), (2, 16, 32, 1, 1), (2, 6, 26, 1, 2)],
)
def test_grouped(groups, inputs, outputs, kernel, stride):
    weights = (outputs, inputs // groups, kernel, kernel)
    facts = run(body(kernel, stride, groups), (1, inputs, 9, 14), w=weights, b=(outputs,))
    assert rules(facts) == {"grouped": 1}


@pytest.mark.parametrize(("shape", "window"), [((30,), (3,)), ((4, 6, 8), (3, 3, 3)), ((4, 6, 8), (1, 3, 3))])
def test_lines_and_volumes(shape, window):
    pads = [size // 2 for size in window] * 2
    text = f"y = Conv<pads={pads}>(input, w, b) logits = Relu(y)"
    assert rules(run(text, (1, 8, *shape), w=(24, 8, *window), b=(24,))) == {"dense": 1}


def test_window_tiles_hold_few_enough_sums():
    neon = Isa("neon", 16, 32)
    for kernel in (3, 5, 7):
        tile = window_tile(14, 96, kernel, neon, default_knobs(neon), 32)
        assert 4 <= tile.rows * tile.vectors < 30
