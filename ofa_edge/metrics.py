"""Figures of merit that more than one room needs."""

import numpy as np
from numpy.typing import NDArray


def top1(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Share of rows, 0..1, whose largest logit is the label's; a row with a NaN is wrong.

    Args:
        logits: [N, classes].
        labels: [N].
    """
    if len(logits) != len(labels) or not len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels")
    return float(np.mean(argmax(logits) == labels))


def argmax(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Place of the largest logit of each row; -1 where the row has a NaN, which agrees with nothing."""
    return np.where(np.isnan(logits).any(axis=1), -1, logits.argmax(axis=1)).astype(np.int64)


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 where either holds one value only: it has no order."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
