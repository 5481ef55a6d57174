"""The rule by which one schedule is called faster, on times as a busy machine gives them."""

import numpy as np
import pytest

from ofa_edge.export.tvm.tuning.acceptance import ALPHA, compare, compare_copies
from ofa_edge.export.tvm.tuning.tuner import CONFIRM_ROUNDS

COPIES = 3


def busy(random: np.random.Generator, rounds: int, copies: int) -> np.ndarray:
    """Factors on a true time: drift that all share, jitter of each, and a tenth of wild outliers."""
    drift = 1 + 0.3 * np.abs(np.cumsum(random.normal(0, 0.1, (rounds, 1)), axis=0))
    jitter = random.lognormal(0, 0.03, (rounds, copies))
    wild = np.where(random.random((rounds, copies)) < 0.1, random.uniform(1, 5, (rounds, copies)), 1.0)
    return drift * jitter * wild


def wins(ratio: float, trials: int, placement: float = 0.0, seed: int = 0) -> float:
    """How often a candidate of some true ratio is called faster; copies differ by `placement` (standard deviation)."""
    random = np.random.default_rng(seed)
    accepted = 0
    for _ in range(trials):
        noise = busy(random, CONFIRM_ROUNDS, 2 * COPIES) * random.normal(1, placement, 2 * COPIES)
        accepted += compare_copies(noise[:, ::2], ratio * noise[:, 1::2]).faster()
    return accepted / trials


def test_equal_schedules_seldom_win():
    assert wins(1.0, 3000) <= ALPHA


def test_equal_schedules_seldom_win_where_placement_matters():
    assert wins(1.0, 3000, placement=0.01) <= 0.05


def test_a_slower_schedule_never_wins():
    assert wins(1.05, 500) == 0.0


def test_a_real_gain_is_found():
    assert wins(0.8, 300) >= 0.95


def test_a_gain_below_the_least_is_not_worth_it():
    base = np.full(31, 100.0)
    assert not compare(base, base * 0.985).faster()
    assert compare(base, base * 0.985).faster(least_gain=0.0)
    assert compare(base, base * 0.95).faster()


def test_ties_are_no_wins():
    result = compare(np.ones(31), np.ones(31))
    assert (result.wins, result.ratio, result.chance) == (0, 1.0, 1.0)
    assert not result.faster(least_gain=0.0)


def test_the_chance_is_the_sign_tests():
    base = np.ones(10)
    candidate = np.array([0.5] * 9 + [2.0])
    assert compare(base, candidate).chance == pytest.approx(11 / 1024)  # 10 over 9, and 10 over 10


def test_rounds_must_pair():
    with pytest.raises(ValueError, match="do not pair"):
        compare(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="do not pair"):
        compare(np.ones(0), np.ones(0))


def test_a_gain_must_exceed_what_placement_does():
    base = np.tile([100.0, 106.0, 103.0], (31, 1))
    assert not compare_copies(base, base * 0.96).faster()
    assert compare_copies(base, base * 0.90).faster()
