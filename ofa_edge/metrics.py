"""Figures of merit that more than one room needs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SNR_LIMIT_DB = 999.0
"""Stands for infinity: JSON has none."""

_SUM = 1e-3  # probabilities add up to 1 within this


def power(values: NDArray[np.floating]) -> float:
    """The sum of squares, in float64."""
    return float(np.square(values, dtype=np.float64).sum())


def snr_db(signal: float, noise: float) -> float:
    """10 log10 of a ratio of powers, within +-999; 999 where there is no noise, -999 where there is only noise."""
    if noise == 0:
        return SNR_LIMIT_DB
    if signal == 0:
        return -SNR_LIMIT_DB
    return float(np.clip(10 * (np.log10(signal) - np.log10(noise)), -SNR_LIMIT_DB, SNR_LIMIT_DB))


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
    return float(np.nanmean(recalls(confusion(argmax(logits), labels, logits.shape[1]))))


Metric = Literal["top1", "balanced"]
METRICS: dict[Metric, Callable[[NDArray[np.floating], NDArray[np.integer]], float]] = {
    "top1": top1,
    "balanced": balanced_accuracy,
}
METRIC_NAMES: dict[Metric, str] = {"top1": "top-1", "balanced": "balanced accuracy"}


def argmax(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Place of the largest logit of each row; -1 where the row has a NaN, which agrees with nothing."""
    return np.where(np.isnan(logits).any(axis=1), -1, logits.argmax(axis=1)).astype(np.int64)


def probabilities(row: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of the classes, from the logits of an image; a network that ends in a softmax gives them itself."""
    values = row.astype(np.float64)
    if values.min() >= 0 and abs(values.sum() - 1) < _SUM:
        return values
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


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
    changed = lost + won
    tail = sum(math.comb(changed, less) for less in range(min(lost, won) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**changed)))


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
    lost, won = int((reference & ~candidate).sum()), int((~reference & candidate).sum())
    return paired_drop_of(int(reference.sum()), lost, won, len(reference))


def images_to_tell(right: float, lost: int, won: int, images: int, allowed: float) -> int | None:
    """About how many images would show whether a drop is above or below what is allowed, if they were like those seen.

    Args:
        right: the reference's top-1, 0..1.
        lost: images that only the reference has right.
        won: images that only the candidate has right.
        images: how many were seen.
        allowed: the drop that is allowed, 0..1.

    Returns:
        Images, to two figures; None where even ten million would not.
    """
    both = right * images - lost
    cells = (both, float(lost), float(won), images - both - lost - won)

    def tells(times: float) -> bool:
        low, high = _newcombe(*(times * cell for cell in cells))
        return not low <= allowed < high

    low, high = 1.0, 2.0
    while not tells(high):
        low, high = high, 2 * high
        if high * images > _MOST_IMAGES:
            return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    wanted = high * images
    unit = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return int(math.ceil(wanted / unit) * unit)


_MOST_IMAGES = 10_000_000
_Z95 = 1.959963984540054


def _newcombe(both: float, lost: float, won: float, neither: float) -> tuple[float, float]:
    """The 95 % interval of (lost - won) / all by Newcombe's method 10."""
    count = both + lost + won + neither
    first, second = (both + lost) / count, (both + won) / count
    (low1, high1), (low2, high2) = _wilson(first, count), _wilson(second, count)
    correlation = _correlation(both, lost, won, neither)

    def joined(one: float, other: float) -> float:
        return math.sqrt(max(one * one - 2 * correlation * one * other + other * other, 0.0))

    drop = first - second
    low, high = drop - joined(first - low1, high2 - second), drop + joined(high1 - first, second - low2)
    return max(low, -1.0), min(high, 1.0)


def _wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion."""
    square = _Z95 * _Z95
    middle, scale = share + square / (2 * count), 1 + square / count
    reach = _Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (middle - reach) / scale, (middle + reach) / scale


def _correlation(both: float, lost: float, won: float, neither: float) -> float:
    """Phi of the 2 x 2 table, its numerator moved towards 0 by half the images where it is positive."""
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if not product:
        return 0.0
    numerator: float = both * neither - lost * won
    if numerator > 0:
        numerator = max(numerator - (both + lost + won + neither) / 2, 0.0)
    return numerator / math.sqrt(product)


def confusion(answers: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How many images of each true class (rows) were taken for each class (columns): [classes, classes + 1].

    The last column counts images without an answer (-1: see `argmax`), so that a row adds up to its class's images.

    Args:
        answers: class that each image was taken for, or -1 [N].
        labels: true class of each image [N].
        classes: how many there are.
    """
    if answers.shape != labels.shape or answers.ndim != 1:
        raise ValueError(f"answers of shape {answers.shape} for labels of shape {labels.shape}")
    if ((labels < 0) | (labels >= classes) | (answers < -1) | (answers >= classes)).any():
        raise ValueError(f"a class outside 0..{classes - 1}")
    width = classes + 1
    column = np.where(answers < 0, classes, answers)
    return np.bincount(labels * width + column, minlength=classes * width).reshape(classes, width).astype(np.int64)


def recalls(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class's images that was answered rightly [classes]; nan where a class has no image.

    Args:
        table: of `confusion`.
    """
    images = table.sum(axis=1)
    right = np.diagonal(table).astype(np.float64)
    found = np.full(len(table), np.nan)
    np.divide(right, images, out=found, where=images > 0)
    return found


def wilson95(right: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share `right` of `images`; everything, 0 to 1, where there is no image."""
    if not images:
        return 0.0, 1.0
    low, high = _wilson(right / images, images)
    return max(low, 0.0), min(high, 1.0)


def paired_drop_of(right_before: int, lost: int, won: int, images: int) -> PairedDrop:
    """`paired_drop` from counts: images that the reference has right, lost and won ones among `images` > 0."""
    cells = (right_before - lost, lost, won, images - right_before - won)
    return PairedDrop((lost - won) / images, *_newcombe(*cells), lost, won, images)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values adjusted for being several, so that any one below a level is an error of all with that probability.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
