"""Postprocessing of detectors described as data: from raw outputs to boxes, outside the graph.

Decoding and non-maximum suppression inside a graph keep delegates from running it whole; here they cost microseconds of
a CPU. The forms are those of the detectors that people export: YOLOv5 and its like, YOLOv8 and later, end-to-end heads
(YOLOv10, or exported with suppression inside), DETR, RT-DETR, and boxes beside scores.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.boxes import Detections, decoded, raw_boxes
from ofa_edge.errors import ConfigError
from ofa_edge.vocabulary import FORMS, Form

FORM_WORDS: Mapping[Form, str] = {
    "yolov5": "[1, N, 5 + C]: centre, size, objectness and C classes, in pixels",
    "yolov8": "[1, 4 + C, N]: centre, size and C classes, in pixels",
    "end-to-end": "[1, N, 6]: corners, score and class, in pixels; nothing is suppressed any more",
    "detr": "[1, N, C + 1] logits, the last of no object, and [1, N, 4] centre and size, 0..1",
    "rt-detr": "[1, N, C] logits and [1, N, 4] centre and size, 0..1",
    "boxes-scores": "[1, N, 4] corners in pixels and [1, N, C] scores",
    "boxes-scores-01": "[1, N, 4] corners, 0..1, and [1, N, C] scores",
}
_ENDS = 1000  # rows of 6 up to which they are finished boxes
_SUPPRESSED: Mapping[Form, float] = {"yolov5": 0.6, "yolov8": 0.7, "boxes-scores": 0.5, "boxes-scores-01": 0.5}


@dataclass(frozen=True)
class Decoding:
    """How raw outputs become boxes.

    Attributes:
        form: what the outputs are: see `FORM_WORDS`.
        shapes: of the network's outputs, in their order. Several that a form has as one are parts of it.
        classes: how many there are.
        size: height and width of the input, in pixels.
        iou: overlap above which the less certain of two boxes of a class is dropped; None: nothing is suppressed.
        least_score: of a box that is kept.
        most: boxes of an image.
        boxes: of two outputs, the place of the one that holds boxes.
    """

    form: Form
    shapes: tuple[tuple[int, ...], ...]
    classes: int
    size: tuple[int, int]
    iou: float | None = None
    least_score: float = 0.001
    most: int = 300
    boxes: int = 0

    @classmethod
    def of(
        cls,
        form: Form,
        shapes: Sequence[Sequence[int]],
        classes: int,
        size: tuple[int, int],
        names: Sequence[str] = (),
    ) -> "Decoding":
        """The form's own rules. Raises ConfigError where the outputs are not of that form.

        Args:
            form: what the outputs are.
            shapes: of each.
            classes: how many there are.
            size: height and width of the input, in pixels.
            names: of each, which tell boxes from scores where shapes do not.
        """
        sizes = tuple(tuple(map(int, each)) for each in shapes)
        boxes = [place for place, each in enumerate(sizes) if each and each[-1] == 4] or [0]
        if len(boxes) > 1:
            named = [place for place, name in enumerate(names) if "box" in name.lower()]
            boxes = named if len(named) == 1 else [boxes[0] if form.startswith("boxes") else boxes[-1]]
        made = cls(form, sizes, classes, size, _SUPPRESSED.get(form), boxes=boxes[0])
        made.require_fits()
        return made

    def require_fits(self) -> None:
        """Raise ConfigError where the outputs are not of the form."""
        try:
            parts = [np.zeros(each, np.float32) for each in self.shapes]
            found = raw_boxes(parts, self.form, self.size, self.boxes)
        except (ValueError, IndexError, StopIteration) as error:
            raise self._unfit() from error
        if found[1].shape[1] != self.classes and self.form != "end-to-end":
            raise self._unfit()

    def _unfit(self) -> ConfigError:
        words = ", ".join(str(list(each)) for each in self.shapes)
        return ConfigError(
            f"the outputs are not those of {self.form}",
            f"{words} for {self.classes} classes; {self.form} is {FORM_WORDS[self.form]}",
            f"--decode {'|'.join(FORMS)}, --labels FILE with as many classes, or --task features",
        )

    def decode(self, row: NDArray[np.floating]) -> Detections:
        """The boxes of one image, the most certain first.

        Args:
            row: the numbers of all outputs, one behind the other.
        """
        return decoded(row, **dataclasses.asdict(self))

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Decoding":
        """Inverse of `to_json`. Raises ConfigError."""
        try:
            height, width = value["size"]
            made = cls(
                value["form"],
                tuple(tuple(int(size) for size in each) for each in value["shapes"]),
                int(value["classes"]),
                (int(height), int(width)),
                None if value["iou"] is None else float(value["iou"]),
                float(value["least_score"]),
                int(value["most"]),
                int(value["boxes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("bad decoding", f"{type(error).__name__}: {error}", "build again") from error
        if made.form not in FORMS:
            raise ConfigError("bad decoding", f"no form {made.form!r}", "build again")
        made.require_fits()
        return made


def form_of(shapes: Sequence[Sequence[int]], classes: int | None) -> Form | None:
    """The form that outputs of these shapes have, of so many classes if that is known; None where none fits."""
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] == 1:
        _, rows, columns = shapes[0]
        if columns == 6 and rows <= _ENDS and classes != 1:
            return "end-to-end"
        forms: tuple[tuple[Form, int, int], ...] = (("yolov5", columns, 5), ("yolov8", rows, 4))
        if classes is not None:
            return next((form for form, values, others in forms if values == others + classes), None)
        return "yolov5" if columns < rows else "yolov8"
    if len(shapes) == 2 and all(len(each) == 3 for each in shapes) and any(each[-1] == 4 for each in shapes):
        columns = next((each[-1] for each in shapes if each[-1] != 4), 4)
        return "boxes-scores" if classes in (None, columns) else "detr" if columns == (classes or 0) + 1 else None
    return None


def classes_of(form: Form, shapes: Sequence[Sequence[int]]) -> int | None:
    """How many classes outputs of a form tell apart; None where their shape does not say."""
    if form == "end-to-end":
        return None
    if form == "yolov8":
        return sum(each[1] for each in shapes) - 4
    columns = [each[-1] for each in shapes]
    if form == "yolov5":
        return columns[0] - 5
    count = next((each for each in columns if each != 4), 4)
    return count - 1 if form == "detr" else count
