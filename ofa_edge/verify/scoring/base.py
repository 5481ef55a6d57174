"""What a scorer is: the seam between the gates and the tasks."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ofa_edge.records.manifest import DropRecord
from ofa_edge.records.scores import ClassScore
from ofa_edge.vocabulary import ScoreName

Answers = NDArray[np.floating]  # [N, values]: all outputs of an image, one behind the other


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

    def by_class(self, first: Answers, last: Answers) -> tuple[ClassScore, ...]:
        """The score of each class, before and after; none where `ClassesRecord` says more."""
