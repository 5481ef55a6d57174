"""Intervals of scores that are no share of images: the bootstrap over images, paired.

A score such as mAP or mIoU is of a whole set; single images have no share in it that could be counted. So images are
drawn anew, the same ones for both sides, and both scores are computed from each draw (B. Efron, R. Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13). What none of N images showed may still hold for 3.84 / (N + 3.84) of
all (Wilson's upper limit of no case): the interval of a drop is at least that share of the score wide, so that a few
images on which nothing changed prove as little here as they do of a classifier.
"""

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import wilson95
from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore
from ofa_edge.vocabulary import ScoreName

DRAWS = 500


@functools.lru_cache(maxsize=8)
def draws(images: int) -> NDArray[np.float64]:
    """How often each image is in each draw [DRAWS, images]; the same every time."""
    found = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), size=DRAWS).astype(np.float64)
    found.flags.writeable = False
    return found


def low95(resampled: NDArray[np.float64]) -> float:
    """Lower end of the 95 % interval of a score, from its values over the draws."""
    return float(np.clip(np.percentile(resampled, 2.5), 0, 1))


class Scored(Protocol):
    """What one set of answers is worth."""

    @property
    def value(self) -> float:
        """The score."""

    @property
    def resampled(self) -> NDArray[np.float64]:
        """The same over the draws [DRAWS]."""

    @property
    def own(self) -> NDArray[np.float64]:
        """How well each image does by itself [N], to count those that lose and win."""


def drop_of(metric: ScoreName, reference: Scored, candidate: Scored) -> DropRecord:
    """A drop of a score of this name, with its paired interval."""
    drop, images = reference.value - candidate.value, len(reference.own)
    low, high = np.percentile(reference.resampled - candidate.resampled, (2.5, 97.5))
    unseen = wilson95(0, images)[1] * max(reference.value, candidate.value)
    return DropRecord(
        metric=metric,
        drop=drop,
        low95=float(max(min(low, drop - unseen), -1)),
        high95=float(min(max(high, drop + unseen), 1)),
        lost=int((candidate.own < reference.own).sum()),
        won=int((candidate.own > reference.own).sum()),
        images=images,
    )


def class_scores(
    names: Sequence[str], truth: NDArray[np.integer], before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[ClassScore, ...]:
    """The record of each class, from what there is of it and its scores; nan of a class that is nowhere."""
    rows = zip(names, truth.tolist(), before.tolist(), after.tolist(), strict=True)
    return tuple(
        ClassScore(name=name, truth=count, before=_known(first), after=_known(last))
        for name, count, first, last in rows
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
