import json

import numpy as np
import pytest
from places import FACTS

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


COUNTED = json.loads((FACTS / "costs.json").read_text())["subnets"]


@pytest.mark.parametrize("fact", COUNTED, ids=lambda fact: f"{fact['family']}-{fact['macs']}")
def test_counts_of_the_reference(fact):
    space = Space.of(fact["family"], "published", width_mult=fact["width_mult"])
    subnet = space.from_config(fact["config"])
    assert cost.macs(space, subnet) == fact["macs"]
    assert cost.params(space, subnet) == fact["params"]


@pytest.mark.parametrize("family", ["ofa_proxyless", "ofa_resnet"])
def test_tables_of_the_other_families(family):
    space = Space.of(family, "small", width_mult=0.5, resolutions=(64, 96))
    genomes = space.sample(np.random.default_rng(0), 200)
    sums = cost.macs_table(space)(genomes)[:, 0]
    assert sums.tolist() == [cost.macs(space, space.subnet(row)) for row in genomes]


def test_a_bottleneck_that_opens_a_stage_counted_by_hand():
    space = Space.of("ofa_resnet", "r")
    spec = space.blocks[5].narrowed(208, 336)
    kinds = [(each.kind, each.kernel, each.stride) for each in cost.block_operators(spec, 3, 0.2, 56)]
    assert kinds == [
        ("pointwise", 1, 1),
        ("conv", 3, 2),
        ("pointwise", 1, 1),
        ("pool", 2, 2),
        ("pointwise", 1, 1),
        ("add", 1, 1),
    ]
    middle = 64  # 0.2 * 336 = 67.2
    wanted = 56**2 * 208 * middle + 28**2 * (9 * middle**2 + middle * 336 + 208 * 336)
    assert sum(each.macs for each in cost.block_operators(spec, 3, 0.2, 56)) == wanted
