"""Top-1 of a classifier."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import argmax, balanced_accuracy, paired_drop, probabilities, top1
from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore
from ofa_edge.verify.scoring.base import Answers, BadAnswer
from ofa_edge.vocabulary import ScoreName


@dataclass(frozen=True)
class TopOne:
    """Class numbers [N] of images, and how many classes there are."""

    labels: NDArray[np.int64]
    classes: int
    metric: ScoreName = "top-1"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def chance(self) -> float:
        """See `Scorer`."""
        return 1 / self.classes

    @property
    def digest(self) -> str:
        """See `Scorer`."""
        return hashlib.sha256(np.ascontiguousarray(self.labels).data).hexdigest()

    def take(self, index: NDArray[np.int64]) -> "TopOne":
        """See `Scorer`."""
        return TopOne(self.labels[index], self.classes)

    def right(self, answers: Answers) -> NDArray[np.bool_]:
        """Whether each image is answered rightly [N]."""
        return np.asarray(argmax(answers) == self.labels)

    def figures(self, answers: Answers) -> Mapping[str, Any]:
        """See `Scorer`."""
        return {"top1": top1(answers, self.labels), "balanced": balanced_accuracy(answers, self.labels)}

    def drop(self, reference: Answers, candidate: Answers) -> DropRecord:
        """See `Scorer`; the interval is Newcombe's."""
        return DropRecord(**asdict(paired_drop(self.right(reference), self.right(candidate))))

    def worst(self, answers: Answers, most: int) -> tuple[BadAnswer, ...]:
        """See `Scorer`: the wrong answers that it is most certain of."""
        answered = argmax(answers)
        wrong = np.flatnonzero((answered != self.labels) & (answered >= 0))
        share = np.array([probabilities(answers[image])[answered[image]] for image in wrong])
        return tuple(
            BadAnswer(
                int(wrong[place]), float(share[place]), int(self.labels[wrong[place]]), int(answered[wrong[place]])
            )
            for place in np.argsort(-share, kind="stable")[:most]
        )

    def by_class(self, first: Answers, last: Answers) -> tuple[ClassScore, ...]:
        """See `Scorer`."""
        return ()
