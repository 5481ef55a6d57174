import numpy as np

from ofa_edge import cost
from ofa_edge.space import Space

IMAGENET = Space("imagenet")
TINY = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
KERNEL_MATRICES = 20 * (25 * 25 + 9 * 9)


def test_parameters_of_the_published_supernets():
    assert cost.params(IMAGENET, IMAGENET.largest()) + KERNEL_MATRICES == 7_678_880
    wide = Space("w1.2", 1.2)
    assert cost.params(wide, wide.largest()) + KERNEL_MATRICES == 10_715_752


def test_macs_of_a_network_counted_by_hand():
    # One block: 8 -> 24 expand on 14x14, depthwise 3x3, 24 -> 8 project.
    spec = TINY.blocks[1]
    operators = cost.block_operators(spec, 3, 3, 14)
    assert [operator.kind for operator in operators] == ["pointwise", "depthwise", "pointwise", "add"]
    assert sum(operator.macs for operator in operators) == 14 * 14 * (8 * 24 + 9 * 24 + 24 * 8)
    assert sum(operator.params for operator in operators) == (8 * 24 + 48) + (9 * 24 + 48) + (24 * 8 + 16)


def test_squeeze_and_excite_and_hard_swish_are_listed():
    operators = cost.block_operators(TINY.blocks[4 * 3 + 1], 5, 6, 4)
    kinds = [operator.kind for operator in operators]
    assert kinds == [
        "pointwise", "h_swish", "depthwise", "h_swish", "pool", "dense", "dense", "scale", "pointwise", "add",
    ]  # fmt: skip


def test_block_table_equals_the_sum_over_operators():
    genomes = TINY.sample(np.random.default_rng(0), 200)
    sums = cost.macs_table(TINY)(genomes)[:, 0]
    assert sums.tolist() == [cost.macs(TINY, TINY.subnet(row)) for row in genomes]


def test_size_follows_the_stride_plan():
    assert [cost.stage_input_size(TINY, 28, stage) for stage in range(6)] == [28, 14, 7, 4, 4, 4]
    assert [cost.stage_input_size(IMAGENET, 224, stage) for stage in range(6)] == [112, 56, 28, 14, 14, 7]


def test_every_choice_up_costs_more():
    assert cost.macs(TINY, TINY.smallest(28)) < cost.macs(TINY, TINY.uniform(5, 4, 3, 28))
    assert cost.macs(TINY, TINY.uniform(5, 4, 3, 28)) < cost.macs(TINY, TINY.largest(28))
