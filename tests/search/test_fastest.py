"""Neighbours of a subnet and the fastest subnet of a space."""

import numpy as np
from landscapes import FASHION, TINY, every_genome, latency

from ofa_edge.cost import macs_table
from ofa_edge.search.fastest import fastest_subnets, neighbours
from ofa_edge.space import Space

RESNET = Space.of("ofa_resnet", "resnet", width_mult=0.25, resolutions=(64, 80, 96))


def test_neighbours_are_distinct_canonical_and_not_the_subnet_itself() -> None:
    genome = FASHION.sample(np.random.default_rng(0), 1)[0]
    near = neighbours(FASHION, genome)
    assert len(np.unique(near, axis=0)) == len(near)
    assert (near == FASHION.canonical(near)).all()
    assert (near != genome).any(axis=1).all()


def test_neighbours_of_the_largest_are_counted() -> None:
    near = neighbours(FASHION, FASHION.genome([FASHION.largest()])[0])
    # 20 blocks with 8 other pairs, 5 stages with 2 other depths, 2 other resolutions.
    assert len(near) == 20 * 8 + 5 * 2 + 2


def test_a_deeper_stage_may_hold_any_pair() -> None:
    smallest = FASHION.genome([FASHION.smallest()])[0]
    near = neighbours(FASHION, smallest)
    assert len(near) == 10 * 8 + 5 * 2 * 9 + 2
    subnets = [FASHION.subnet(genome) for genome in near]
    deeper = [subnet for subnet in subnets if subnet.depths == (3, 2, 2, 2, 2)]
    assert {subnet.stages[0][2] for subnet in deeper} == {(k, e) for k in (3, 5, 7) for e in (3, 4, 6)}


def test_the_fastest_of_an_additive_latency_is_exact() -> None:
    everything = every_genome(TINY)
    times = latency(TINY)(everything)
    fastest, fastest_ms = fastest_subnets(TINY, latency(TINY))
    for index in range(len(TINY.resolutions)):
        here = everything[:, -1] == index
        assert fastest_ms[index] == times[here].min()
        assert latency(TINY)(fastest)[index] == fastest_ms[index]


def test_a_table_in_which_smaller_is_slower() -> None:
    space = Space("odd", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24), kernels=(3, 5), depths=(2, 3))
    blocks = len(space.blocks)

    def odd(genomes: np.ndarray) -> np.ndarray:
        keep = space.active(genomes)
        kernels, expands = genomes[:, :blocks], genomes[:, blocks : 2 * blocks]
        block_ms = 1.0 + 0.5 * (kernels == 0) + 0.25 * np.abs(expands - 1)  # kernel 5 and expand 4 are fastest
        return (block_ms * keep).sum(axis=1) + genomes[:, -1]

    fastest, fastest_ms = fastest_subnets(space, odd)
    assert space.subnet(fastest[0]) == space.uniform(5, 4, 2, 20)
    assert fastest_ms.tolist() == [10.0, 11.0]


def test_neighbours_in_a_space_of_elastic_widths() -> None:
    largest = RESNET.genome([RESNET.largest()])[0]
    near = neighbours(RESNET, largest)
    # 18 blocks with 2 other ratios, the stem without its block, 4 stages with 2 other depths, 6 widths, 2 resolutions.
    assert len(near) == 18 * 2 + 1 + 4 * 2 + 6 * 2 + 2
    assert (near == RESNET.canonical(near)).all()
    assert len({RESNET.check(RESNET.subnet(row)) for row in near}) == len(near)


def test_the_fastest_resnet_is_the_smallest() -> None:
    table = macs_table(RESNET)
    fastest, _ = fastest_subnets(RESNET, lambda rows: table(rows)[:, 0])
    assert [RESNET.subnet(row) for row in fastest] == [RESNET.smallest(each) for each in RESNET.resolutions]
