"""When a series moved up: one change point in the last nights, by ranks, with an exact level."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SHUFFLES = 50_000
_LEAST_SIDE = 3  # nights on each side: fewer do not make a level


@dataclass(frozen=True)
class ChangePoint:
    """Where a series most likely moved up.

    Attributes:
        nights_since: nights from the change on, the last one included.
        shift: median after minus median before, as a log ratio.
        p: probability of a split this clear in a series without a change.
    """

    nights_since: int
    shift: float
    p: float


def find_change(series: Floats) -> ChangePoint | None:
    """The likeliest upward change of a series' level.

    Every split is judged by the standardised rank sum of what comes after it (A. N. Pettitt, A non-parametric approach
    to the change-point problem, Applied Statistics 28, 1979, with each split scaled by its own variance, so that recent
    changes are not at a disadvantage). The largest is held against shuffles of the series: the ranks make that
    distribution the same for any series of this length.

    Args:
        series: [nights], oldest first.

    Returns:
        The change, or None for a series that is too short to have one.
    """
    nights = len(series)
    if nights < 2 * _LEAST_SIDE:
        return None
    ranks = np.empty((1, nights))
    ranks[0, np.lexsort((-np.arange(nights), series))] = np.arange(1.0, nights + 1)  # of equals the later is the lower
    scores = _scores(ranks)[0]
    split = int(scores.argmax()) + _LEAST_SIDE
    null = _null(nights)
    above = len(null) - int(np.searchsorted(null, scores.max() - 1e-9, "left"))
    shift = float(np.median(series[split:]) - np.median(series[:split]))
    return ChangePoint(nights - split, shift, (above + 1) / (len(null) + 1))


def _scores(ranks: Floats) -> Floats:
    """Standardised rank sum after each split [series, splits] of ranks [series, nights]."""
    nights = ranks.shape[1]
    before = np.arange(_LEAST_SIDE, nights - _LEAST_SIDE + 1)
    after = nights - before
    total = ranks.sum(axis=1, keepdims=True)
    sums: Floats = total - np.cumsum(ranks, axis=1)[:, before - 1]
    scores: Floats = (sums - after * (nights + 1) / 2) / np.sqrt(before * after * (nights + 1) / 12)
    return scores


@lru_cache(maxsize=64)
def _null(nights: int) -> Floats:
    """The largest score of shuffled series, sorted; the same at each call."""
    shuffled = np.random.default_rng(nights).random((_SHUFFLES, nights)).argsort(axis=1).astype(np.float64) + 1.0
    return np.sort(_scores(shuffled).max(axis=1))
