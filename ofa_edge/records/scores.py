"""What a manifest says of accuracy where it is not top-1: mAP of a detector, mIoU of a segmenter."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ofa_edge.records.base import Count, Fraction, Record


class ScoreRecord(Record):
    """A score of the whole test set.

    Attributes:
        metric: "mAP": mean average precision over IoU 0.50 to 0.95, as COCO has it; "mIoU": mean intersection over
            union of the classes.
        value: of it.
        low95: lower end of its 95 % interval, by bootstrap over images.
        others: other figures of the same answers: AP50, AP75; the share of pixels that are right.
    """

    metric: Literal["mAP", "mIoU"]
    value: Fraction
    low95: Fraction
    others: dict[str, Fraction] = Field(default_factory=dict)


class BoxesRecord(Record):
    """Boxes after suppression beside those of the rung's reference, image by image; the least certain left out.

    Attributes:
        reference: its boxes.
        candidate: the rung's own.
        share: of all of them, those that the other side has too; 1 where there are none.
    """

    reference: Count
    candidate: Count
    share: Fraction


class ClassScore(Record):
    """One class's own score; None where nothing of it is in the images."""

    name: str
    truth: Count  # objects, or pixels
    before: Fraction | None
    after: Fraction | None


class ScoresByClass(Record):
    """The score class by class, before conversion and of the artifact."""

    metric: Literal["mAP", "mIoU"]
    unit: Literal["objects", "pixels"]
    start: str  # the rung before conversion
    artifact: str
    classes: Annotated[tuple[ClassScore, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _of_what_is_there(self) -> Self:
        if not any(item.truth for item in self.classes):
            raise ValueError("no class has anything to be found")
        return self
