"""Sums over blocks as tables, and their maxima."""

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, every_genome, gain_table, latency

from ofa_edge.cost import macs_table
from ofa_edge.search.additive import StageSolver, tabulate, tradeoffs
from ofa_edge.space import Space

UNEVEN = Space("uneven", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24), kernels=(3, 5), expands=(3, 4), depths=(1, 3, 4))
PROXYLESS = Space.of("ofa_proxyless", "proxyless", width_mult=0.25, resolutions=(64, 96))


@pytest.mark.parametrize("space", [FASHION, TINY, UNEVEN, PROXYLESS], ids=lambda space: space.name)
def test_a_sum_is_read_off_exactly(space: Space) -> None:
    macs = macs_table(space)
    for function in (latency(space), lambda rows: macs(rows)[:, 0]):
        table = tabulate(space, function)
        assert table is not None
        genomes = space.sample(np.random.default_rng(7), 500)
        assert table(space, genomes) == pytest.approx(function(genomes), rel=1e-10)


def test_what_is_no_sum_has_no_table() -> None:
    assert tabulate(TINY, accuracy(TINY)) is None
    resnet = Space.of("ofa_resnet", "resnet", width_mult=0.25, resolutions=(64,))
    assert tabulate(resnet, latency(resnet)) is None


def test_the_maximum_is_that_of_all_subnets() -> None:
    gain = tabulate(TINY, lambda rows: gain_table(TINY)(rows)[:, 0] - 2 * latency(TINY)(rows))
    assert gain is not None
    everything = every_genome(TINY)
    values, solver = gain(TINY, everything), StageSolver(TINY)
    for index in range(len(TINY.resolutions)):
        best = values[everything[:, -1] == index].max()
        assert solver.maximum(gain.fixed[index], gain.entries[index]) == pytest.approx(best)
        genome = solver.argmax(gain.fixed[[index]], gain.entries[[index]], np.array([index]))
        assert gain(TINY, genome)[0] == pytest.approx(best)


def test_tradeoffs_are_beaten_by_no_subnet() -> None:
    gain, cost = (tabulate(TINY, each) for each in (lambda rows: gain_table(TINY)(rows)[:, 0], latency(TINY)))
    assert gain is not None
    assert cost is not None
    found, everything = tradeoffs(TINY, gain, cost, 32), every_genome(TINY)
    values, costs = gain(TINY, everything), cost(TINY, everything)
    assert (found == TINY.canonical(found)).all()
    assert len(found) > 10
    for genome in found:
        own = everything[:, -1] == genome[-1]
        value, price = gain(TINY, genome[None])[0], cost(TINY, genome[None])[0]
        assert not ((values > value + 1e-9) & (costs < price - 1e-9) & own).any()
