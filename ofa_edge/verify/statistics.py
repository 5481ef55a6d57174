"""Are a network's batch norm statistics those of its data? Asked of other images: the ladder only asks the network.

Every rung of the ladder stands on the first one: a network that was calibrated on one class, on black or wrongly scaled
images or on another data set passes all of them. Three things can contradict it:

- the same weights calibrated on other images of the data, five times: top-1 on the same test images, by its paired
  interval; and, without labels, how far its answers are from theirs beside how far theirs are from each other;
- what the training run measured for the same subnet;
- the calibration images themselves: classes shown, pixels against those of training.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.calibration import without_content
from ofa_edge.metrics import wilson95
from ofa_edge.records.manifest import DropRecord, ExpectedRecord, StatisticsRecord, Verdict
from ofa_edge.vocabulary import Outcome

# Calibration on 500 images moves top-1 by some tenths of a point, whichever they are.
WORSE = 0.01  # of top-1: a loss against other images that is certainly larger is none of chance
FAR_BELOW = {True: 0.03, False: 0.15}  # under what training measured: on the package's own images, on others
ALIKE, UNLIKE = 2.0, 4.0  # times the distance between other calibrations


@dataclass(frozen=True)
class Suspicion:
    """What is odd about calibration images; `certain` where no sound set can look like it."""

    code: str
    words: str
    certain: bool


def suspicions(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> tuple[Suspicion, ...]:
    """What is odd about calibration images [N, H, W, C], given the pixel statistics (0..255) of training."""
    found = []
    seen = len(np.unique(labels)) if labels is not None else classes
    if seen < min(classes, len(pixels)):
        certain = seen == 1 and len(pixels) > 1
        found.append(Suspicion("one-class" if certain else "few-classes", f"show {seen} of {classes} classes", certain))
    flat = float(without_content(pixels).mean())
    if flat > 0:
        found.append(Suspicion("no-content", f"are of one colour in {100 * flat:.0f} % of cases", flat > 0.5))
    own_mean, own_std = (np.atleast_1d(value) for value in (pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))))
    shift, scale = np.abs(own_mean - mean) / std, own_std / std
    if (shift > 1).any() or (scale < 0.5).any() or (scale > 2).any():
        words = f"have pixel means {_list(own_mean)} and deviations {_list(own_std)}, in training {_list(mean)} and"
        certain = bool((shift > 3).any() or (scale < 0.2).any() or (scale > 5).any())
        found.append(Suspicion("other-pixels", f"{words} {_list(std)}", certain))
    return tuple(found)


def nearness_db(answers: NDArray[np.float32], others: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """How near logits [N, classes] are to several others, and these to each other.

    Both are signal over the mean square difference, in dB; each row's mean, which changes no answer, is taken out. With
    five others a sound network lies beyond 2 times their own distance in 1 case of 14 and beyond 4 times in 1 of 140,
    if all of them differ along one direction only (Student's t, 4 degrees of freedom), and more rarely else.
    """
    own, *rest = (part - part.mean(1, keepdims=True, dtype=np.float64) for part in (answers, *others))
    power = float(np.mean([(each**2).mean() for each in rest])) + 1e-30

    def near(pairs: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
        noise = float(np.mean([((one - other) ** 2).mean() for one, other in pairs]))
        return 10 * math.log10(power / (noise + 1e-30))

    return near((own, each) for each in rest), near(itertools.combinations(rest, 2))


def statistics_verdict(record: StatisticsRecord, top1: float | None, images: int) -> Verdict:
    """Whether a network's batch norm statistics are those of its data.

    Args:
        record: what other calibrations, the training run and the calibration images say.
        top1: of the network on the test images; None without labels.
        images: how many those are.
    """

    def verdict(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(gate="statistics", outcome=outcome, code=code, reason=reason)

    why = f": its calibration images {'; they '.join(record.suspicions)}" if record.suspicions else ""
    if record.certain is not None:
        return verdict("fail", record.certain, f"the statistics cannot be those of the data{why}")
    if record.drop is not None and record.drop.low95 > WORSE:
        words = f"{_points(record.drop)} worse than the same weights calibrated on {record.images} other images"
        return verdict("fail", "worse-than-other-images", f"{words}{why}")
    expected = record.expected
    if expected is not None and top1 is not None:
        low = _short_by(expected, top1, images)
        if low > FAR_BELOW[expected.same_data]:
            words = f"{100 * top1:.2f} % top-1 on {images} images, {expected.source} {100 * expected.top1:.2f} %"
            more = why or ("" if expected.same_data else ": another data set, or images read in another way")
            return verdict("fail", "below-training", f"{words}: at least {100 * low:.1f} points less{more}")
    times = 10 ** ((record.others_snr_db - record.snr_db) / 20)
    words = (
        f"answers {record.snr_db:.0f} dB from those under other calibrations, they {record.others_snr_db:.0f} dB from "
        f"each other ({record.images} images each)"
    )
    if record.drop is not None:
        words += f"; top-1 {_points(record.drop)} lower"
    harmless = record.drop is not None and record.drop.high95 <= WORSE
    if times > UNLIKE and not harmless:
        return verdict("fail", "unlike-other-calibrations", f"{words}{why}")
    if times <= ALIKE or harmless:
        return verdict("pass", "as-other-calibrations", words)
    return verdict("unverified", "too-few-images", f"{words}: too few images to tell{why}")


def _points(drop: DropRecord) -> str:
    return f"{100 * drop.drop:.2f} points ({100 * drop.low95:+.2f} .. {100 * drop.high95:+.2f})"


def _short_by(expected: ExpectedRecord, top1: float, images: int) -> float:
    """The lower end of what is missing to the expected top-1: Newcombe's hybrid interval of two samples."""
    low = wilson95(expected.top1 * expected.images, expected.images)[0]
    high = wilson95(top1 * images, images)[1]
    missing = expected.top1 - top1
    return missing - math.hypot(expected.top1 - low, high - top1) - 2 * expected.error


def _list(values: Sequence[float] | NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
