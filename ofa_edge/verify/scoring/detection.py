"""mAP of a detector, as COCO has it: average precision over IoU 0.50 to 0.95, all sizes, 100 detections a class."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import Boxes
from ofa_edge.data.decoding import Decoding
from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore, ScoreRecord
from ofa_edge.verify.scoring.base import Answers, BadAnswer, least
from ofa_edge.verify.scoring.matching import ClassMatches, average_precisions, match
from ofa_edge.verify.scoring.resampling import class_scores, draws, drop_of, low95
from ofa_edge.vocabulary import ScoreName


@dataclass(frozen=True, eq=False)
class Found:
    """What one set of answers is worth: everything that scores are made of."""

    matches: tuple[ClassMatches, ...]

    @functools.cached_property
    def precisions(self) -> NDArray[np.float64]:
        """Average precision of each class at each threshold [classes, T]; nan where there is nothing to be found."""
        weights = np.ones(len(self.matches[0].objects))
        return np.array([average_precisions(each, weights) for each in self.matches])

    @functools.cached_property
    def value(self) -> float:
        """MAP."""
        return _mean(self.precisions)

    @functools.cached_property
    def resampled(self) -> NDArray[np.float64]:
        """MAP of each draw of images [DRAWS]; 0 where a draw has nothing to be found."""
        shown = [each for each in self.matches if each.objects.any()]
        return np.array(
            [
                _mean(np.array([average_precisions(each, weights) for each in shown]))
                for weights in draws(len(self.matches[0].objects))
            ]
        )

    @functools.cached_property
    def own(self) -> NDArray[np.float64]:
        """Objects that are found in each image, over all thresholds [N]."""
        return np.asarray(np.sum([each.found.sum(axis=0) for each in self.matches], axis=0), np.float64)

    @functools.cached_property
    def share(self) -> NDArray[np.float64]:
        """Share of each image's objects that is found, over all thresholds [N]; nan where there is none."""
        objects = np.sum([each.objects for each in self.matches], axis=0)
        steps = len(self.matches[0].found)
        found: NDArray[np.float64] = np.divide(
            self.own, steps * objects, out=np.full(len(objects), np.nan), where=objects > 0
        )
        return found


def _mean(precisions: NDArray[np.float64]) -> float:
    known = precisions[~np.isnan(precisions)]
    return float(known.mean()) if known.size else 0.0


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision:
    """Holds a detector's raw outputs against the objects in the images.

    Attributes:
        truth: the objects.
        names: of the classes.
        decoding: from raw outputs to boxes.
    """

    truth: Boxes
    names: Sequence[str]
    decoding: Decoding
    metric: ScoreName = "mAP"
    chance: float = 0.01
    _seen: dict[int, tuple[Answers, Found]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.truth.count

    @property
    def digest(self) -> str:
        """See `Scorer`."""
        return self.truth.digest

    def take(self, index: NDArray[np.int64]) -> "MeanAveragePrecision":
        """See `Scorer`."""
        return MeanAveragePrecision(self.truth.take(index), self.names, self.decoding)

    def found(self, answers: Answers) -> Found:
        """The answers, decoded and matched; each array once."""
        key = id(answers)
        if key not in self._seen:
            detections = [self.truth.inside(image, self.decoding.decode(row)) for image, row in enumerate(answers)]
            self._seen[key] = answers, Found(match(detections, self.truth, len(self.names)))
        return self._seen[key][1]

    def figures(self, answers: Answers) -> Mapping[str, Any]:
        """See `Scorer`."""
        found = self.found(answers)
        others = {f"AP{threshold}": _mean(found.precisions[:, place]) for threshold, place in ((50, 0), (75, 5))}
        low = min(low95(found.resampled), found.value)
        return {"score": ScoreRecord(metric="mAP", value=found.value, low95=low, others=others)}

    def drop(self, reference: Answers, candidate: Answers) -> DropRecord:
        """See `Scorer`. Images lose or win by the objects that are found in them."""
        return drop_of(self.metric, self.found(reference), self.found(candidate))

    def worst(self, answers: Answers, most: int) -> tuple[BadAnswer, ...]:
        """See `Scorer`."""
        return least(self.found(answers).share, most)

    def by_class(self, first: Answers, last: Answers) -> tuple[ClassScore, ...]:
        """See `Scorer`."""
        before, after = self.found(first), self.found(last)
        truth = np.array([each.objects.sum() for each in before.matches])
        return class_scores(self.names, truth, before.precisions.mean(axis=1), after.precisions.mean(axis=1))
