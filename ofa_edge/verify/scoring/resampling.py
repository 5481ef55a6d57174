"""Intervals of scores that are no share of images: the bootstrap over images, paired.

A score such as mAP or mIoU is of a whole set; single images have no share in it that could be counted. So images are
drawn anew, the same ones for both sides, and both scores are computed from each draw (B. Efron, R. Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13). What none of N images showed may still hold for 3.84 / (N + 3.84) of
all (Wilson's upper limit of no case): the interval of a drop is at least that share of the score wide, so that a few
images on which nothing changed prove as little here as they do of a classifier.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import wilson95
from ofa_edge.records.manifest import DropRecord
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


def drop_of(
    metric: ScoreName,
    values: tuple[float, float],
    resampled: tuple[NDArray[np.float64], NDArray[np.float64]],
    own: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> DropRecord:
    """A drop with its paired interval.

    Args:
        metric: the score's name.
        values: of reference and candidate.
        resampled: the same over the draws [DRAWS].
        own: how well each image does by itself [N], to count those that lose and win.
    """
    reference, candidate = values
    drop, images = reference - candidate, len(own[0])
    low, high = np.percentile(resampled[0] - resampled[1], (2.5, 97.5))
    unseen = wilson95(0, images)[1] * max(reference, candidate)
    return DropRecord(
        metric=metric,
        drop=drop,
        low95=float(max(min(low, drop - unseen), -1)),
        high95=float(min(max(high, drop + unseen), 1)),
        lost=int((own[1] < own[0]).sum()),
        won=int((own[1] > own[0]).sum()),
        images=images,
    )
