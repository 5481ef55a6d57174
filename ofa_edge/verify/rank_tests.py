"""Exact rank tests of paired log ratios: no approximation, because a night has eight pairs and alpha is 0.01."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@lru_cache(maxsize=256)
def _sums_at_most(doubled_ranks: tuple[int, ...]) -> Floats:
    """P(sum <= s) for s = 0, 1, ... where each rank (given twice its size) is in the sum with probability 1/2."""
    ways = np.zeros(sum(doubled_ranks) + 1)
    ways[0] = 1.0
    for rank in doubled_ranks:
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[: len(ways) - rank]
        ways = (ways + shifted) / 2
    return np.cumsum(ways)


def signed_rank_p(log_ratios: Floats) -> float:
    """Exact one-sided Wilcoxon signed-rank test that the values lie above 0.

    Ties take their mean rank and the distribution is that of the ranks at hand; a value of exactly 0 counts as below,
    which can only make p larger (F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1, 1945).

    Args:
        log_ratios: [n] of candidate over golden.

    Returns:
        The probability of ranks at least this far up if up and down were equally likely; 1 without values.
    """
    if log_ratios.size == 0:
        return 1.0
    size = np.abs(log_ratios)
    order = np.sort(size)
    # Mean rank of a tie, doubled: its first place plus its last, counted from 1.
    doubled = np.searchsorted(order, size, "left") + np.searchsorted(order, size, "right") + 1
    below = int(doubled[log_ratios <= 0].sum())
    return float(_sums_at_most(tuple(sorted(doubled.tolist())))[below])


def critical_sum(pairs: int, alpha: float) -> int:
    """The largest sum of the negative ranks at which p <= alpha, for `pairs` values without ties; -1 if none is."""
    reached = _sums_at_most(tuple(range(2, 2 * pairs + 1, 2)))[::2]
    return int(np.searchsorted(reached, alpha, "right")) - 1


def smallest_significant_shift(log_ratios: Floats, alpha: float) -> float:
    """By how much values that scatter like these must lie above 0 for `signed_rank_p` to reach alpha.

    The signed-rank statistic counts the Walsh averages (x_i + x_j) / 2, i <= j, on each side of 0 (J. W. Tukey, 1949).
    With fewer pairs than alpha needs, all of them must lie above 0.

    Args:
        log_ratios: [n], n > 0.
        alpha: level of the test.
    """
    centred = log_ratios - np.median(log_ratios)
    first, second = np.triu_indices(len(centred))
    walsh = np.sort((centred[first] + centred[second]) / 2)
    return float(-walsh[max(critical_sum(len(centred), alpha), 0)])
