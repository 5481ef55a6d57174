"""Networks as layers for ZigZag: MACs by another count, pairs of engines, and maps that are moved by hand."""

import pytest

from ofa_edge.cost import Operator, macs, operators
from ofa_edge.cost.well_known import mnasnet, mobilenet_v2, mobilenet_v3
from ofa_edge.export.zigzag.layers import Layer, steps
from ofa_edge.supernet import zoo


@pytest.mark.parametrize("pipelined", [True, False])
def test_no_multiplication_is_lost(pipelined):
    space = zoo.open_space(zoo.DEFAULT)
    for network in (mobilenet_v2(), mobilenet_v3(), mnasnet(), operators(space, space.largest())):
        found = list(steps(network, pipelined))
        assert sum(layer.macs for step in found for layer in step.layers) == sum(each.macs for each in network)
    assert sum(each.macs for each in operators(space, space.largest())) == macs(space, space.largest())


def test_a_depthwise_layer_hands_its_map_to_the_pointwise_one_behind_it():
    found = list(steps(mobilenet_v2(), pipelined=True))
    pairs = [step.layers for step in found if len(step.layers) == 2]
    assert len(pairs) == 17  # blocks of the paper's table 2
    assert all(
        (one.engine, one.streamed, two.engine, two.streamed) == ("depthwise", "O", "pointwise", "I")
        for one, two in pairs
    )
    assert all(layer.streamed == "" for step in steps(mobilenet_v2(), pipelined=False) for layer in step.layers)


def test_a_gate_between_them_needs_the_whole_map():
    deep, gate = Operator("depthwise", 8, 8, 14, 14, 3), Operator("pool", 8, 8, 14, 1)
    scaled, out = Operator("scale", 8, 8, 14, 14), Operator("pointwise", 8, 4, 14, 14)
    swish = Operator("h_swish", 8, 8, 14, 14)
    assert [len(step.layers) for step in steps([deep, swish, out], True)] == [2]
    found = list(steps([deep, swish, gate, scaled, out], True))
    assert [len(step.layers) for step in found] == [1, 0, 0, 1]
    assert [step.moved_bytes for step in found] == [0, 8 * 14 * 14, 2 * 8 * 14 * 14, 0]


def test_padding_is_what_is_missing():
    layer = Layer.of(Operator("conv", 3, 8, 224, 112, 3, 2))
    assert layer.workload()["padding"] == [[0, 1], [0, 1]]  # "same": one pixel at the end
    wide = Operator("conv", 3, 8, 10, 10, 3, in_width=20, out_width=20, kernel_width=5)
    assert Layer.of(wide).workload()["padding"] == [[1, 1], [2, 2]]
    assert Layer.of(wide).macs == wide.macs


def test_what_no_engine_runs_is_named():
    with pytest.raises(ValueError, match="product"):
        list(steps([Operator("product", 8, 8, 4, 4)], True))
