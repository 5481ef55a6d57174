"""Pairs of network and accelerator: the front and the best pair against counting by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from ofa_edge.errors import BudgetError
from ofa_edge.supernet import zoo
from ofa_edge.workflows.codesign.accelerators import read_accelerators
from ofa_edge.workflows.codesign.pairs import Pairs

SPACE = zoo.open_space(zoo.DEFAULT)
THREE = [
    each for each in read_accelerators("ethos-u") if each.name in ("ethos-u55-64", "ethos-u55-256", "ethos-u85-256")
]


def pairs(ms, accuracy):
    """Subnets whose latencies are made up: [accelerators, subnets]."""
    genomes = SPACE.sample(np.random.default_rng(0), len(accuracy))
    models = {
        each.name: SimpleNamespace(predict_many=lambda genomes, row=row: SimpleNamespace(ms=row))
        for each, row in zip(THREE, np.array(ms, float), strict=True)
    }
    return Pairs(SPACE, THREE, genomes, np.array(accuracy, float), models)


def test_the_front_is_what_no_pair_beats():
    rng = np.random.default_rng(3)
    ms, accuracy = rng.integers(1, 9, (3, 12)), rng.integers(1, 9, 12) / 10
    found = pairs(ms, accuracy)
    points = [
        (each.size.macs_per_cycle, each.size.sram_bytes, found.ms[place, row], -accuracy[row])
        for place, each in enumerate(found.accelerators)
        for row in range(12)
    ]

    def beaten(point):
        return any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points)

    by_hand = {point for point in points if not beaten(point)}
    assert {(each.macs_per_cycle, each.sram_bytes, each.ms, -each.accuracy) for each in found.front()} == by_hand


def test_the_best_pair_has_the_least_hardware_of_equals():
    found = pairs([[5, 9], [4, 2], [1, 1]], [0.9, 0.5])
    assert found.best(5.0) == (0, 0)  # as accurate on larger ones, and faster: nobody asked for that
    assert found.best(4.0)[0] == 1
    with pytest.raises(BudgetError, match=r"no pair takes 0\.5 ms") as caught:
        found.best(0.5)
    assert "on ethos-u85-256, is predicted to take 1 ms" in caught.value.why
