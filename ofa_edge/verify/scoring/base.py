"""What a scorer is: the seam between the gates and the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore
from ofa_edge.vocabulary import ScoreName

Answers = NDArray[np.floating]  # [N, values]: all outputs of an image, one behind the other


@dataclass(frozen=True)
class BadAnswer:
    """An image that is answered badly.

    Attributes:
        image: its number.
        share: how probable a classifier holds its wrong answer; of others, how much of the image is right.
        true: class number, of a classifier.
        answered: likewise.
    """

    image: int
    share: float
    true: int | None = None
    answered: int | None = None


def least(shares: NDArray[np.float64], most: int) -> tuple[BadAnswer, ...]:
    """The images [N] that are least right, the very worst first; neither those that are right nor those of nan."""
    order = [int(image) for image in np.argsort(shares, kind="stable") if shares[image] < 1]
    return tuple(BadAnswer(image, float(shares[image])) for image in order[:most])


class Scorer(Protocol):
    """Knows what is right for each of some images, and holds answers to exactly these images against it."""

    @property
    def metric(self) -> ScoreName:
        """What its score is called."""

    @property
    def chance(self) -> float:
        """A score that proves nothing."""

    @property
    def digest(self) -> str:
        """SHA-256 of what is right."""

    def __len__(self) -> int:
        """How many images."""

    def take(self, index: NDArray[np.int64]) -> Self:
        """The same of some of the images, in that order."""

    def figures(self, answers: Answers) -> Mapping[str, Any]:
        """The fields of a rung that say how right the answers are."""

    def drop(self, reference: Answers, candidate: Answers) -> DropRecord:
        """What the candidate's score loses, with a paired 95 % interval."""

    def worst(self, answers: Answers, most: int) -> tuple[BadAnswer, ...]:
        """The images that are answered worst, the very worst first; none of those that are right."""

    def by_class(self, first: Answers, last: Answers) -> tuple[ClassScore, ...]:
        """The score of each class, before and after; none where `ClassesRecord` says more."""
