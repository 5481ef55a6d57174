"""mIoU of a segmenter: intersection over union of each class over all pixels of all images, and the mean of them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import UNLABELLED, Masks
from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore, ScoreRecord
from ofa_edge.verify.scoring.base import Answers, BadAnswer, least
from ofa_edge.verify.scoring.resampling import class_scores, draws, drop_of, low95
from ofa_edge.vocabulary import ScoreName


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixels of each image and class [N, C]: rightly answered, in the truth, in the answers."""

    right: NDArray[np.int64]
    truth: NDArray[np.int64]
    answered: NDArray[np.int64]

    def ious(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each class for each row of weights [..., N]: [..., C]; nan for what is neither there nor answered."""
        right, union = weights @ self.right, weights @ (self.truth + self.answered - self.right)
        found: NDArray[np.float64] = np.divide(right, union, out=np.full(right.shape, np.nan), where=union > 0)
        return found

    @functools.cached_property
    def by_class(self) -> NDArray[np.float64]:
        """IoU [C]."""
        return self.ious(np.ones(len(self.right)))

    @functools.cached_property
    def value(self) -> float:
        """MIoU."""
        return float(np.nanmean(self.by_class))

    @functools.cached_property
    def resampled(self) -> NDArray[np.float64]:
        """MIoU of each draw of images [DRAWS]."""
        return np.asarray(np.nanmean(self.ious(draws(len(self.right))), axis=1))

    @functools.cached_property
    def own(self) -> NDArray[np.float64]:
        """Share of each image's pixels that is right [N]."""
        return np.asarray(self.right.sum(axis=1) / np.maximum(self.truth.sum(axis=1), 1))


@dataclass(frozen=True, eq=False)
class MeanIou:
    """Holds a segmenter's scores against masks.

    Attributes:
        truth: the masks, at the size of the network's input.
        names: of the classes.
        shape: of the output: brought to the masks' size, bilinearly, before the highest score counts. There may be one
            score where there are two classes: that of the second.
        layout: of the output: [1, C, h, w] or [1, h, w, C].
        threshold: of a score that stands alone.
    """

    truth: Masks
    names: Sequence[str]
    shape: tuple[int, ...]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    threshold: float = 0.0
    metric: ScoreName = "mIoU"
    _seen: dict[int, tuple[Answers, Counts]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def chance(self) -> float:
        """What one class everywhere is worth."""
        pixels = np.bincount(self.truth.values.ravel(), minlength=256)[: len(self.names)]
        return float(pixels.max() / max(pixels.sum(), 1) / len(self.names))

    @property
    def digest(self) -> str:
        """See `Scorer`."""
        return self.truth.digest

    def take(self, index: NDArray[np.int64]) -> "MeanIou":
        """See `Scorer`."""
        return MeanIou(self.truth.take(index), self.names, self.shape, self.layout, self.threshold)

    def answered(self, row: NDArray[np.floating]) -> NDArray[np.int64]:
        """Class of each pixel of an image [H, W]; -1 where a score is no number."""
        return answered_classes(row, self.shape, self.layout, self.threshold, self.truth.values.shape[1:])

    def counts(self, answers: Answers) -> Counts:
        """The answers, pixel by pixel; each array once."""
        key = id(answers)
        if key not in self._seen:
            self._seen[key] = answers, self._counted(answers)
        return self._seen[key][1]

    def _counted(self, answers: Answers) -> Counts:
        classes = len(self.names)
        found = np.zeros((3, len(answers), classes), np.int64)
        for image, row in enumerate(answers):
            mask, answer = self.truth.values[image], self.answered(row)
            known = mask != UNLABELLED
            truth, answer = mask[known].astype(np.int64), answer[known]
            answer = np.where(answer < classes, answer, -1)
            for place, numbers in enumerate((truth[truth == answer], truth, answer[answer >= 0])):
                found[place, image] = np.bincount(numbers, minlength=classes)
        return Counts(*found)

    def figures(self, answers: Answers) -> Mapping[str, Any]:
        """See `Scorer`."""
        found = self.counts(answers)
        pixels = float(found.right.sum() / max(found.truth.sum(), 1))
        low = min(low95(found.resampled), found.value)
        return {"score": ScoreRecord(metric="mIoU", value=found.value, low95=low, others={"pixels": pixels})}

    def drop(self, reference: Answers, candidate: Answers) -> DropRecord:
        """See `Scorer`. Images lose or win by the pixels that are right in them."""
        return drop_of(self.metric, self.counts(reference), self.counts(candidate))

    def worst(self, answers: Answers, most: int) -> tuple[BadAnswer, ...]:
        """See `Scorer`."""
        return least(self.counts(answers).own, most)

    def by_class(self, first: Answers, last: Answers) -> tuple[ClassScore, ...]:
        """See `Scorer`."""
        before, after = self.counts(first), self.counts(last)
        return class_scores(self.names, before.truth.sum(axis=0), before.by_class, after.by_class)


def answered_classes(
    row: NDArray[np.floating],
    shape: tuple[int, ...],
    layout: Literal["NCHW", "NHWC"],
    threshold: float,
    size: tuple[int, ...],
) -> NDArray[np.int64]:
    """Class of each pixel of an image at a size [H, W]; -1 where a score is no number. See `MeanIou`."""
    scores = row.reshape(shape[1:]).astype(np.float64)
    scores = scores.transpose(2, 0, 1) if layout == "NHWC" else scores
    scores = enlarged(scores, size)
    found = (scores[0] > threshold).astype(np.int64) if len(scores) == 1 else scores.argmax(axis=0)
    return np.where(np.isfinite(scores).all(axis=0), found, -1)


def enlarged(scores: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Scores [C, h, w] at another size [C, H, W]: bilinear, pixel centres at half integers, edges held."""
    for axis, size in zip((1, 2), shape, strict=True):
        length = scores.shape[axis]
        if length == size:
            continue
        places = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(places).astype(np.int64)
        high, part = np.minimum(low + 1, length - 1), places - low
        part = part.reshape(-1, 1) if axis == 1 else part
        scores = scores.take(low, axis=axis) * (1 - part) + scores.take(high, axis=axis) * part
    return scores
