import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from ofa_edge.verify.rank_tests import critical_sum, signed_rank_p, smallest_significant_shift

ratios = st.lists(st.floats(-0.5, 0.5).filter(lambda value: abs(value) > 1e-6), min_size=1, max_size=9, unique_by=abs)


@given(ratios)
def test_the_signed_rank_test_is_scipys_exact_one(values):
    expected = wilcoxon(values, alternative="greater", method="exact").pvalue
    assert signed_rank_p(np.array(values)) == pytest.approx(expected)


def test_ties_take_the_distribution_of_their_own_mean_ranks():
    values = np.array([0.1, 0.1, -0.1, 0.2, 0.2])
    ranks = np.array([2.0, 2.0, 2.0, 4.5, 4.5])
    sums = [sum(rank for rank, up in zip(ranks, signs, strict=True) if not up) for signs in every(5)]
    assert signed_rank_p(values) == pytest.approx(np.mean([total <= 2.0 for total in sums]))


def every(count):
    return itertools.product([True, False], repeat=count)


def test_no_difference_is_no_evidence():
    assert signed_rank_p(np.zeros(8)) == 1.0
    assert signed_rank_p(np.array([])) == 1.0


def test_eight_pairs_allow_one_small_disagreement_at_one_percent():
    assert critical_sum(8, 0.01) == 1
    assert critical_sum(6, 0.01) == -1  # 1/64 is all that six can show
    assert signed_rank_p(np.array([-0.01, *np.arange(2, 9) / 100])) <= 0.01
    assert signed_rank_p(np.array([-0.02, 0.01, *np.arange(3, 9) / 100])) > 0.01


# Steps, for values that rounding makes equal share their ranks.
@given(st.lists(st.integers(-30_000, 30_000), min_size=7, max_size=10, unique=True))
def test_the_visible_shift_is_where_the_test_turns(steps):
    values = np.array(steps) / 1e5
    centred = values - np.median(values)
    shift = smallest_significant_shift(values, 0.01)
    assert signed_rank_p(centred + shift + 1e-9) <= 0.01
    assert signed_rank_p(centred + shift - 1e-6) > 0.01
