"""Bytes of artifacts against recorded ones, and of maps against sums by hand."""

import artifact_sizes
import numpy as np
import pytest

from ofa_edge.cost import Operator, block_input_size, block_operators, head_operators, stem_operators
from ofa_edge.cost.bytes import peak_elements, peak_table
from ofa_edge.runtimes import runtime_named
from ofa_edge.space import Space
from ofa_edge.vocabulary import numbers

TINY = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 28))


@pytest.mark.parametrize("kind", artifact_sizes.KINDS)
def test_every_recorded_artifact_is_predicted_within_the_stated_error(kind: str) -> None:
    runtime, precision, weight = artifact_sizes.KINDS[kind]
    model, items = runtime_named(runtime).sizes[precision], artifact_sizes.recorded()[kind]
    assert len(items) >= 8
    assert model.weight == weight
    tables = {space: model.table(space) for space, *_ in items}
    for space, net, size in items:
        predicted = tables[space](space.genome([space.from_config(net)]))[0, 0]
        assert abs(predicted / size - 1) <= model.error


def test_maps_of_a_block_with_a_shortcut() -> None:
    spec = TINY.blocks[1]  # no squeeze-and-excite, stride 1
    assert spec.shortcut
    channels, middle, pixels = spec.in_channels, spec.middle(6), 14 * 14
    # The depthwise convolution reads and writes the middle, while the block's input waits for the addition.
    assert peak_elements(block_operators(spec, 3, 6, 14)) == (2 * middle + channels) * pixels


def test_maps_of_a_block_without_one() -> None:
    spec = TINY.blocks[0]
    middle = spec.middle(4)
    ops = block_operators(spec, 3, 4, 20)
    assert not any(each.kind == "add" for each in ops)
    assert peak_elements(ops) == max((spec.in_channels + middle) * 400, middle * 400 + middle * ops[1].out_size ** 2)


def test_what_is_scaled_waits_for_its_scales() -> None:
    wide = (
        Operator("pool", 8, 8, 4, 1),
        Operator("dense", 8, 1000, 1, 1),
        Operator("dense", 1000, 8, 1, 1),
        Operator("scale", 8, 8, 4, 4),
    )
    assert peak_elements(wide) == 8 * 16 + 1008


def test_the_table_gives_the_largest_part() -> None:
    table = peak_table(TINY)
    genomes = TINY.sample(np.random.default_rng(0), 50)
    for value, genome in zip(table.most(genomes)[:, 0], genomes, strict=True):
        subnet = TINY.subnet(genome)
        ends = (*stem_operators(TINY, subnet.resolution), *head_operators(TINY, subnet.resolution))
        parts = [ends] + [
            block_operators(
                block.spec, block.kernel, block.expand, block_input_size(TINY, block.spec, subnet.resolution)
            )
            for block in TINY.active_blocks(subnet)
        ]
        assert value == max(peak_elements(part) for part in parts)


def test_bytes_of_a_value() -> None:
    assert [numbers(each).map_bytes for each in ("fp32", "fp16", "dynamic", "int8")] == [4, 4, 4, 1]
