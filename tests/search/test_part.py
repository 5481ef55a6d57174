"""A part of a space and its genomes in the whole."""

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, latency

from ofa_edge.cost import macs_table
from ofa_edge.search.bound import LogCurve, SeparableAccuracy
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.part import Part

LARGE_KERNELS = FASHION.restricted(kernels=(5, 7))


def test_genomes_keep_their_subnets() -> None:
    part = Part(FASHION, LARGE_KERNELS)
    genomes = LARGE_KERNELS.sample(np.random.default_rng(0), 200)
    wide = part.widen(genomes)
    assert (wide == FASHION.canonical(wide)).all()
    assert [FASHION.subnet(row) for row in wide] == [LARGE_KERNELS.subnet(row) for row in genomes]
    assert (part.narrow(wide) == genomes).all()


def test_what_lies_outside_is_left_out() -> None:
    part = Part(FASHION, LARGE_KERNELS)
    assert len(part.narrow(FASHION.genome([FASHION.smallest(), FASHION.largest()]))) == 1
    assert len(part.narrow(FASHION.sample(np.random.default_rng(0), 100))) == 0


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="largest depth"):
        Part(TINY, TINY.restricted(depths=(1,))).widen(TINY.genome([TINY.smallest()]))


def test_a_search_in_a_part_stays_in_it_and_speaks_of_the_whole() -> None:
    start = FASHION.genome([FASHION.largest(), FASHION.smallest()])
    macs = macs_table(FASHION)

    def score(rows: np.ndarray) -> np.ndarray:
        return macs(rows)[:, 0]

    front = search_front(
        FASHION,
        latency(FASHION),
        score,
        part=LARGE_KERNELS,
        separable=SeparableAccuracy(score, score, LogCurve(0.0, 0.0, 0.0)),
        start=start,
        options=SearchOptions(evaluations=2000),
    )
    assert front.space is FASHION
    assert front.latency == pytest.approx(latency(FASHION)(front.genomes))
    assert front.accuracy == pytest.approx(score(front.genomes))
    kernels = front.genomes[:, : len(FASHION.blocks)][FASHION.active(front.genomes)]
    assert set(kernels.tolist()) == {1, 2}
    assert all(front.bound.at(point.latency_ms) >= point.accuracy for point in front.points)
    assert front.best(1e9).subnet == FASHION.largest()


def test_one_choice_is_enough() -> None:
    part = FASHION.restricted(kernels=(3,))
    front = search_front(
        FASHION, latency(FASHION), accuracy(FASHION), part=part, options=SearchOptions(evaluations=1000)
    )
    assert all(kernel == 3 for point in front.points for stage in point.subnet.stages for kernel, _ in stage)
