"""Postprocessing of detectors described as data: from raw outputs to boxes, outside the graph.

Decoding and non-maximum suppression inside a graph keep delegates from running it whole. The forms are those of the
detectors that people export: YOLOv5 and its like, YOLOv8 and later, both also cut before anchors or distributions are
applied, SSD's offsets from priors, end-to-end heads (YOLOv10, or exported with suppression inside), DETR, RT-DETR,
boxes beside scores, and boxes after suppression as TFLite's own operator gives them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.boxes import Detections
from ofa_edge.data.forms import FORM_WORDS, by_scale
from ofa_edge.data.priors import VARIANCES, Priors
from ofa_edge.data.raw_boxes import decoded, priors_of, read_boxes
from ofa_edge.errors import ConfigError
from ofa_edge.vocabulary import FORMS, Form

_CANDIDATES = 3000  # boxes before suppression, the most certain
_MOST_VALUES = 1 << 24  # of all outputs: eight times those of 1,280 pixels
_SUPPRESSED: Mapping[Form, float] = {
    "yolov5": 0.6,
    "yolov8": 0.7,
    "boxes-scores": 0.5,
    "boxes-scores-01": 0.5,
    "yolov5-raw": 0.6,
    "yolov8-raw": 0.7,
    "ssd": 0.45,
    "ssd-sigmoid": 0.45,
}


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
        anchors: of each scale, the finest first: width and height of each anchor, in pixels.
        candidates: boxes before suppression, the most certain.
        priors: centre and size of each [N, 4], in shares of the input's sides: float32 in base64, "" where none are.
        variances: what offsets of centres and of sizes are multiplied by.
    """

    form: Form
    shapes: tuple[tuple[int, ...], ...]
    classes: int
    size: tuple[int, int]
    iou: float | None = None
    least_score: float = 0.001
    most: int = 300
    boxes: int = 0
    anchors: tuple[tuple[float, ...], ...] = ()
    candidates: int = _CANDIDATES
    priors: str = ""
    variances: tuple[float, float] = VARIANCES

    @classmethod
    def of(
        cls,
        form: Form,
        shapes: Sequence[Sequence[int]],
        classes: int,
        size: tuple[int, int],
        names: Sequence[str] = (),
        anchors: Sequence[float] = (),
        priors: Priors | None = None,
    ) -> "Decoding":
        """The form's own rules. Raises ConfigError where outputs or anchors are not those of that form.

        Args:
            form: what the outputs are.
            shapes: of each.
            classes: how many there are.
            size: height and width of the input, in pixels.
            names: of each, which tell boxes from scores where shapes do not.
            anchors: width and height of each, in pixels, the finest scale's first; as many for each scale.
            priors: of SSD's forms.
        """
        sizes = tuple(tuple(map(int, each)) for each in shapes)
        boxes = [place for place, each in enumerate(sizes) if each and each[-1] == 4] or [0]
        if len(boxes) > 1:
            named = [place for place, name in enumerate(names) if "box" in name.lower()]
            boxes = named if len(named) == 1 else [boxes[0] if form.startswith(("boxes", "ssd")) else boxes[-1]]
        iou, grouped = _SUPPRESSED.get(form), by_scale(form, sizes, anchors)
        made = cls(form, sizes, classes, size, iou, boxes=boxes[0], anchors=grouped)
        if priors is not None:
            made = dataclasses.replace(made, priors=priors.packed, variances=priors.variances)
        made._require_priors()
        made.require_fits()
        return made

    def require_fits(self) -> None:
        """Raise ConfigError where the outputs are not of the form, or no numbers of this world."""
        self._require_sizes()
        try:
            with np.errstate(all="ignore"):
                found = read_boxes(self, [np.zeros(each) for each in self.shapes])
        except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
            raise self._unfit() from error
        if found.kinds is None and found.scores.shape[1] != self.classes:
            raise self._unfit()
        if not np.isfinite(found.corners).all():  # of zeros: anchors, priors or variances are no numbers
            raise ConfigError(
                "a decoding whose boxes are no numbers",
                f"{self.form}: its anchors, priors or variances are nan or infinite",
                "build again, with finite ones",
            )

    def _require_sizes(self) -> None:
        """Raise ConfigError for what takes more memory than any detector's outputs, before it is taken."""
        sizes = [self.most, self.candidates, self.classes, *self.size, *(size for each in self.shapes for size in each)]
        values = sum(math.prod(each) for each in self.shapes)
        shares = (self.least_score, self.iou if self.iou is not None else 0.0)
        if min(sizes) < 1 or max(sizes) > _MOST_VALUES or values > _MOST_VALUES or not all(0 <= x <= 1 for x in shares):
            raise ConfigError(
                "a decoding of sizes that no detector has",
                f"{values} values, {self.most} boxes of {self.candidates} candidates, {self.classes} classes, input "
                f"{list(self.size)}, scores from {self.least_score}, overlap {self.iou}",
                f"sizes from 1, {_MOST_VALUES} values at most, and shares of 0 to 1",
            )

    def _require_priors(self) -> None:
        """Raise ConfigError where there are none, too many, or some of a form that has none."""
        if not self.form.startswith("ssd"):
            if self.priors:
                why = "its boxes are no offsets from priors"
                raise ConfigError(f"--priors with outputs of {self.form}", why, "leave them out, or --decode ssd")
            return
        shape, found = self.shapes[self.boxes], len(priors_of(self))
        if len(shape) == 3 and shape[2] == 4 and shape[1] != found:  # of other outputs their form is the fault
            rows = shape[1]
            raise ConfigError(
                f"{self.form} needs the prior of each of its {rows} boxes",
                f"{found} given" if found else "none are given",
                "--priors FILE.npz with `priors` [N, 4]: centre x, centre y, width and height, 0..1, as it was trained",
            )

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
        return decoded(self, row)

    def after_suppression(self) -> "Decoding":
        """How boxes are read that were decoded and suppressed by these rules inside the graph."""
        shapes = ((1, self.most, 4), (1, self.most), (1, self.most), (1,))
        return dataclasses.replace(self, form="suppressed", shapes=shapes, iou=None, boxes=0, anchors=(), priors="")

    def pack(self, found: Detections) -> NDArray[np.float32]:
        """Boxes as outputs of the form `suppressed` hold them, one behind the other: the inverse of `decode`."""
        (height, width), count = self.size, len(found)
        corners = np.zeros((self.most, 4))
        corners[:count] = found.corners[:, [1, 0, 3, 2]] / np.array([height, width, height, width])
        kinds, scores = np.zeros(self.most), np.zeros(self.most)
        kinds[:count], scores[:count] = found.classes, found.scores
        return np.concatenate([corners.ravel(), kinds, scores, [count]]).astype(np.float32)

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
                tuple(tuple(float(side) for side in each) for each in value.get("anchors", ())),
                int(value.get("candidates", _CANDIDATES)),
                str(value.get("priors", "")),
                _two(value.get("variances", VARIANCES)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("bad decoding", f"{type(error).__name__}: {error}", "build again") from error
        if made.form not in FORMS:
            raise ConfigError("bad decoding", f"no form {made.form!r}", "build again")
        made.require_fits()
        return made


def _two(values: Sequence[float]) -> tuple[float, float]:
    first, second = map(float, values)
    return first, second
