"""Pareto fronts of latency (less is better) against a score (more is better)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pareto_front(latency: Floats, score: Floats) -> NDArray[np.intp]:
    """Indices of the points that no other point beats, by rising latency and so by rising score.

    A point is beaten by one that is no slower and no worse, and better in one of the two. Of equal points the first
    counts.

    Example:
        >>> pareto_front(np.array([2.0, 1.0, 3.0]), np.array([0.9, 0.8, 0.7])).tolist()
        [1, 0]
    """
    order = np.lexsort((np.arange(len(latency)), -score, latency))
    if len(order) == 0:
        return order
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(score[order])[:-1]])
    return order[score[order] > best_before]
