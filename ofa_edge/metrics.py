"""Figures of merit that more than one room needs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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


def balanced_accuracy(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The mean, over the classes that have images, of the share of a class's rows that are right, 0..1.

    Args:
        logits: [N, classes]; a row with a NaN is wrong.
        labels: [N].
    """
    if len(logits) != len(labels) or not len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels")
    right = argmax(logits) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


Metric = Literal["top1", "balanced"]
METRICS: dict[Metric, Callable[[NDArray[np.floating], NDArray[np.integer]], float]] = {
    "top1": top1,
    "balanced": balanced_accuracy,
}
METRIC_NAMES: dict[Metric, str] = {"top1": "top-1", "balanced": "balanced accuracy"}


def argmax(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Place of the largest logit of each row; -1 where the row has a NaN, which agrees with nothing."""
    return np.where(np.isnan(logits).any(axis=1), -1, logits.argmax(axis=1)).astype(np.int64)


def mad(values: NDArray[np.float64]) -> float:
    """Median absolute deviation from the median; 0 without values."""
    return float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 where either holds one value only: it has no order."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def kendall(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Kendall's tau-b; 0 where either holds one value only: it has no order."""
    from scipy.stats import kendalltau

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(kendalltau(first, second).statistic)


@dataclass(frozen=True)
class PairedDrop:
    """How much accuracy a candidate loses against a reference on the same images. Fractions of 1.

    Attributes:
        drop: the reference's top-1 minus the candidate's; negative where the candidate is better.
        low95, high95: its 95 % confidence interval.
        lost, won: images that only the reference, or only the candidate, has right.
        images: how many were compared.
    """

    drop: float
    low95: float
    high95: float
    lost: int
    won: int
    images: int


def mcnemar_p(lost: int, won: int) -> float:
    """Two-sided p of the exact McNemar test that a candidate is as often right as its reference on the same images.

    Q. McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12, 1947;
    exact, by the binomial distribution, so that it holds for few changed images too. 1 where none changed sides.

    Args:
        lost: images that only the reference has right.
        won: images that only the candidate has right.
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won, 0.5).pvalue) if lost + won else 1.0


def paired_drop(reference: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> PairedDrop:
    """The difference of two proportions over the same images, with its 95 % interval.

    The interval is Newcombe's method 10: Wilson's intervals of both proportions, joined by their correlation with a
    continuity correction (R. G. Newcombe, Improved confidence intervals for the difference between binomial
    proportions based on paired data, Statistics in Medicine 17, 1998, 2635-2650). Unlike the usual standard error it
    does not shrink to nothing where few images or none change sides.

    Args:
        reference: [N], whether the reference answers each image rightly.
        candidate: [N], the same of the candidate.
    """
    if reference.shape != candidate.shape or reference.ndim != 1 or not reference.size:
        raise ValueError(f"answers of shapes {reference.shape} and {candidate.shape} are no pairs")
    both, neither = int((reference & candidate).sum()), int((~reference & ~candidate).sum())
    lost, won = int((reference & ~candidate).sum()), int((~reference & candidate).sum())
    count = len(reference)
    first, second = (both + lost) / count, (both + won) / count
    (low1, high1), (low2, high2) = _wilson(first, count), _wilson(second, count)
    correlation = _correlation(both, lost, won, neither)

    def joined(one: float, other: float) -> float:
        return math.sqrt(max(one * one - 2 * correlation * one * other + other * other, 0.0))

    drop = first - second
    low, high = drop - joined(first - low1, high2 - second), drop + joined(high1 - first, second - low2)
    return PairedDrop(drop, max(low, -1.0), min(high, 1.0), lost, won, count)


_Z95 = 1.959963984540054


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion."""
    square = _Z95 * _Z95
    middle, scale = share + square / (2 * count), 1 + square / count
    reach = _Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (middle - reach) / scale, (middle + reach) / scale


def _correlation(both: int, lost: int, won: int, neither: int) -> float:
    """Phi of the 2 x 2 table, its numerator moved towards 0 by half the images where it is positive."""
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if not product:
        return 0.0
    numerator: float = both * neither - lost * won
    if numerator > 0:
        numerator = max(numerator - (both + lost + won + neither) / 2, 0.0)
    return numerator / math.sqrt(product)
