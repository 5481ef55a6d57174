"""What a manifest says of single classes: their images, their recall before and after conversion, their mix-ups.

Only counts are kept; shares and intervals follow from them, so that nothing in a manifest can disagree with itself.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ofa_edge.metrics import PairedDrop, paired_drop_of, wilson95
from ofa_edge.records.base import Count, Record

MATRIX_CLASSES = 100  # up to so many classes the confusion matrix is kept whole
CONFUSED_PAIRS = 50  # of more classes, so many pairs
UNEVEN = 1.5  # times as many images of one class as of another

Split = Literal["calibration", "validation", "test"]


class ClassRecord(Record):
    """One class: how many images of it there are, and how many of the test images are answered rightly."""

    name: str
    calibration: Count
    validation: Count
    test: Count
    right_before: Count  # by the first rung
    right: Count  # by the artifact
    lost: Count  # test images that only the first rung has right
    won: Count
    no_answer: Count = 0  # test images whose logits from the artifact hold a NaN; they are wrong
    worse: bool = False  # significantly: exact McNemar, Holm's correction over all classes with test images, p < 0.05

    @property
    def recall(self) -> float | None:
        """Share of the test images that the artifact has right; None without any."""
        return self.right / self.test if self.test else None

    @property
    def recall_before(self) -> float | None:
        """The same of the first rung."""
        return self.right_before / self.test if self.test else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the recall."""
        return wilson95(self.right, self.test)

    @property
    def interval_before(self) -> tuple[float, float]:
        """The same of the first rung's."""
        return wilson95(self.right_before, self.test)

    @property
    def drop(self) -> PairedDrop | None:
        """What conversion costs, with its paired 95 % interval; None without test images."""
        return paired_drop_of(self.right_before, self.lost, self.won, self.test) if self.test else None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if max(self.right_before, self.right + self.no_answer) > self.test:
            raise ValueError(f"more images of {self.name!r} than its {self.test} test images")
        if self.lost > self.right_before or self.right_before - self.lost + self.won != self.right:
            raise ValueError(f"{self.name!r}: {self.right_before} - {self.lost} + {self.won} is not {self.right}")
        if self.worse and self.lost <= self.won:
            raise ValueError(f"{self.name!r} cannot be worse: it lost {self.lost} images and won {self.won}")
        return self


class ConfusedPair(Record):
    """Test images of one class that the artifact takes for another; classes by number."""

    true: Count
    answered: Count
    images: Annotated[int, Field(ge=1)]


class ClassesRecord(Record):
    """All classes, by number, on the images of the parity ladder.

    `matrix` has the true class in rows and the answered one in columns; images without an answer are not in it. Of more
    than 100 classes there are the 50 most confused `pairs` in its place.
    """

    start: str  # the rung before conversion
    artifact: str  # the last rung on all images
    classes: Annotated[tuple[ClassRecord, ...], Field(min_length=1)]
    matrix: tuple[tuple[Count, ...], ...] | None = None
    pairs: tuple[ConfusedPair, ...] = ()

    @property
    def images(self) -> int:
        """Test images of all classes."""
        return sum(item.test for item in self.classes)

    @property
    def balanced(self) -> float:
        """Balanced accuracy of the artifact: the mean recall of the classes that have test images."""
        found = [item.recall for item in self.classes if item.recall is not None]
        return sum(found) / len(found)

    @property
    def balanced_before(self) -> float:
        """The same of the first rung."""
        found = [item.recall_before for item in self.classes if item.recall_before is not None]
        return sum(found) / len(found)

    @property
    def no_answer(self) -> int:
        """Test images for which the artifact's logits hold a NaN."""
        return sum(item.no_answer for item in self.classes)

    @property
    def uneven(self) -> bool:
        """Whether some class has many more test or calibration images than another, so that top-1 hides the small."""
        return any(self._uneven([getattr(item, split) for item in self.classes]) for split in ("test", "calibration"))

    @property
    def worse(self) -> tuple[ClassRecord, ...]:
        """Classes that lose by conversion, significantly."""
        return tuple(item for item in self.classes if item.worse)

    @property
    def worst(self) -> tuple[ClassRecord, ...]:
        """Classes with test images, the lowest recall first."""
        return tuple(sorted((item for item in self.classes if item.test), key=lambda item: item.right / item.test))

    def without(self, split: Split) -> tuple[str, ...]:
        """Names of the classes that have no image in a set.

        A set that is smaller than the number of classes cannot show them all; that it does not is no news then.
        """
        counts = [getattr(item, split) for item in self.classes]
        if split != "test" and sum(counts) < len(counts):
            return ()
        return tuple(item.name for item, count in zip(self.classes, counts, strict=True) if not count)

    @property
    def confused(self) -> tuple[ConfusedPair, ...]:
        """Pairs of classes that the artifact confuses, the most images first; 50 at most."""
        if self.matrix is None:
            return self.pairs
        found = [
            ConfusedPair(true=true, answered=answered, images=count)
            for true, row in enumerate(self.matrix)
            for answered, count in enumerate(row)
            if count and true != answered
        ]
        return tuple(sorted(found, key=lambda pair: -pair.images)[:CONFUSED_PAIRS])

    @staticmethod
    def _uneven(counts: list[int]) -> bool:
        return max(counts) - min(counts) > 1 and max(counts) > UNEVEN * min(counts)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not self.images:
            raise ValueError("no class has a test image")
        if self.matrix is None:
            self._pairs_add_up()
        elif self.pairs or len(self.classes) > MATRIX_CLASSES:
            raise ValueError(f"a whole matrix is of at most {MATRIX_CLASSES} classes, and makes pairs needless")
        elif {len(self.matrix), *map(len, self.matrix)} != {len(self.classes)}:
            raise ValueError(f"the confusion matrix must be square, {len(self.classes)} by {len(self.classes)}")
        else:
            for number, (item, row) in enumerate(zip(self.classes, self.matrix, strict=True)):
                if sum(row) + item.no_answer != item.test or row[number] != item.right:
                    raise ValueError(f"the matrix's row of {item.name!r} does not add up to its test images")
        return self

    def _pairs_add_up(self) -> None:
        wrong = [item.test - item.right - item.no_answer for item in self.classes]
        if len(self.classes) <= MATRIX_CLASSES or len(self.pairs) > CONFUSED_PAIRS:
            raise ValueError(f"at most {CONFUSED_PAIRS} pairs, of more than {MATRIX_CLASSES} classes: else the matrix")
        for pair in self.pairs:
            if pair.true == pair.answered or max(pair.true, pair.answered) >= len(wrong):
                raise ValueError(f"classes {pair.true} and {pair.answered} are no pair of {len(wrong)} classes")
            wrong[pair.true] -= pair.images
        if min(wrong) < 0:
            raise ValueError("more confused images of a class than it has wrong ones")
