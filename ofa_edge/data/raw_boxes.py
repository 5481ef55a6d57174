"""What a detector gives, read as boxes and scores: a function for each form of outputs.

Heads that are cut before their anchors or distributions are applied get them here, as YOLOv5 to v8 apply them.
Builds of detectors carry this file beside `boxes.py`, the only one of ofa-edge that it imports.
"""

from __future__ import annotations  # a board's Python may be older than this project's

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING or __package__:
    from ofa_edge.data.boxes import Corners, Detections, from_centres, suppress
else:
    from boxes import Corners, Detections, from_centres, suppress
if TYPE_CHECKING:
    from ofa_edge.vocabulary import Form

Wide = Sequence[NDArray[np.float64]]
Shapes = Sequence[Sequence[int]]
PAIRS = ("detr", "rt-detr", "boxes-scores", "boxes-scores-01", "ssd", "ssd-sigmoid")  # two outputs, in either order
BINS = 16  # of each side's distribution in YOLOv8's heads
SIDES = 4 * BINS
MOST_GROWN = math.log(1000 / 16)  # of a side, as torchvision has it (torchvision.models.detection._utils.BoxCoder)
# Forms whose corners are shares of the input's sides.
SHARES = ("detr", "rt-detr", "boxes-scores-01", "ssd", "ssd-sigmoid", "suppressed")


class Described(Protocol):
    """What a reader has to know; `decoding.Decoding` is it."""

    @property
    def form(self) -> Form:
        """What the outputs are."""

    @property
    def shapes(self) -> Shapes:
        """Of the outputs, in their order."""

    @property
    def classes(self) -> int:
        """How many there are."""

    @property
    def size(self) -> Sequence[int]:
        """Height and width of the input, in pixels."""

    @property
    def iou(self) -> float | None:
        """Overlap above which the less certain of two boxes of a class goes; None: nothing is suppressed."""

    @property
    def least_score(self) -> float:
        """Of a box that is kept."""

    @property
    def most(self) -> int:
        """Boxes of an image."""

    @property
    def candidates(self) -> int:
        """Boxes before suppression, the most certain."""

    @property
    def boxes(self) -> int:
        """Of two outputs, the place of the one that holds boxes."""

    @property
    def anchors(self) -> Sequence[Sequence[float]]:
        """Of each scale, the finest first: width and height of each anchor, in pixels."""

    @property
    def priors(self) -> str:
        """Centre and size of each prior [N, 4], in shares of the input's sides: float32 in base64."""

    @property
    def variances(self) -> Sequence[float]:
        """What offsets of centres and of sizes are multiplied by."""


@dataclass(frozen=True)
class RawBoxes:
    """Boxes before any is chosen.

    Attributes:
        corners: [N, 4], in pixels of the input.
        scores: of each class [N, C]; or one for each box [N, 1], whose class is known.
        kinds: the class of each [N], where it is.
    """

    corners: Corners
    scores: NDArray[np.float64]
    kinds: NDArray[np.int64] | None = None


def decoded(described: Described, row: NDArray[np.floating]) -> Detections:
    """The boxes of one image, the most certain first.

    Args:
        described: what its outputs are.
        row: their numbers, one output behind the other.
    """
    pieces = np.split(row, np.cumsum([int(np.prod(each)) for each in described.shapes])[:-1])
    parts = [pieces[place].reshape(tuple(shape)) for place, shape in enumerate(described.shapes)]
    raw = read_boxes(described, [part.astype(np.float64) for part in parts])
    if raw.kinds is not None:
        keep = (raw.scores[:, 0] >= described.least_score) & (raw.kinds >= 0) & (raw.kinds < described.classes)
        found = Detections(raw.corners[keep], raw.scores[keep, 0], raw.kinds[keep])
    else:
        places, classes = np.nonzero(raw.scores >= described.least_score)
        found = Detections(raw.corners[places], raw.scores[places, classes], classes)
    found = found.take(np.flatnonzero(np.isfinite(found.corners).all(axis=1)))
    found = found.take(np.argsort(-found.scores, kind="stable")[: described.candidates])
    if described.iou is None:
        return found.take(np.arange(min(len(found), described.most)))
    return suppress(found, described.iou, described.most)


def read_boxes(described: Described, parts: Wide) -> RawBoxes:
    """All boxes of one image. Raises ValueError or IndexError where the outputs are not of the form.

    Args:
        described: what they are.
        parts: each output, in its shape.
    """
    if described.form in PAIRS and described.boxes:
        parts = parts[::-1]
    found = _READERS[described.form](described, parts)
    corners = found.corners
    if corners.ndim != 2 or corners.shape[1] != 4 or len(corners) != len(found.scores):
        raise ValueError("no boxes with a row of scores each")
    if described.form in SHARES:
        height, width = described.size
        corners = corners * np.array([width, height, width, height])
    return RawBoxes(corners, found.scores, found.kinds)


def scales(shapes: Shapes, size: Sequence[int]) -> list[tuple[int, list[int]]]:
    """The scales of heads [1, C, h, w] or [1, A, h, w, C]: pixels of a cell, the finest first, and which outputs.

    Raises ValueError where a grid does not cover the input.
    """
    found = dict[int, list[int]]()
    for place, shape in enumerate(shapes):
        rows, columns = shape[2:4]
        stride = size[0] // rows
        if (rows * stride, columns * stride) != tuple(size) or len(shape) not in (4, 5) or shape[0] != 1:
            raise ValueError("no grid over the input")
        found.setdefault(stride, []).append(place)
    return sorted(found.items())


def cells(shape: Sequence[int]) -> NDArray[np.float64]:
    """Column and row of each cell of a grid of h rows and w columns [h * w, 2], row by row."""
    rows, columns = shape
    return np.stack([each.ravel() for each in np.meshgrid(np.arange(columns), np.arange(rows))], axis=1).astype(float)


def _joined_rows(parts: Wide, columns: int) -> NDArray[np.float64]:
    """Pieces [1, R, K] of rows of so many values, as one [N, columns]: those of a row stand one behind the other."""
    blocks, row, width = list[NDArray[np.float64]](), list[NDArray[np.float64]](), 0
    for part in parts:
        row.append(part[0])
        width += part.shape[-1]
        if width == columns:
            blocks.append(np.concatenate(row, axis=1))
            row, width = [], 0
    if row or not blocks:
        raise ValueError(f"no rows of {columns}")
    return np.concatenate(blocks)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -500, 500))))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _yolov5(described: Described, parts: Wide) -> RawBoxes:
    rows = _joined_rows(parts, 5 + described.classes)
    return RawBoxes(from_centres(rows[:, :4]), rows[:, 5:] * rows[:, 4:5])


def _yolov8(described: Described, parts: Wide) -> RawBoxes:
    rows = _joined_rows([part.transpose(0, 2, 1) for part in parts], 4 + described.classes)
    return RawBoxes(from_centres(rows[:, :4]), rows[:, 4:])


def _yolov5_raw(described: Described, parts: Wide) -> RawBoxes:
    found, values = list[NDArray[np.float64]](), 5 + described.classes
    grids = scales([part.shape for part in parts], described.size)
    if len(grids) != len(described.anchors):
        raise ValueError("anchors of other scales")
    for (stride, (place,)), anchors in zip(grids, described.anchors):  # noqa: B905  (Python 3.9 knows no strict)
        part, sides = parts[place], np.array(anchors).reshape(-1, 1, 2)
        rows, columns = part.shape[2:4]
        if part.ndim == 4:
            part = part.reshape(len(sides), values, rows, columns).transpose(0, 2, 3, 1)
        each = _sigmoid(part.reshape(len(sides), rows * columns, values))
        middle = (2 * each[..., :2] - 0.5 + cells((rows, columns))) * stride
        found.append(np.concatenate([middle, (2 * each[..., 2:4]) ** 2 * sides, each[..., 4:]], axis=2))
    joint = np.concatenate([each.reshape(-1, values) for each in found])
    return RawBoxes(from_centres(joint[:, :4]), joint[:, 5:] * joint[:, 4:5])


def _yolov8_raw(described: Described, parts: Wide) -> RawBoxes:
    corners, scores = list[Corners](), list[NDArray[np.float64]]()
    for stride, places in scales([part.shape for part in parts], described.size):
        part = np.concatenate([parts[place] for place in in_order(places, [part.shape for part in parts])], axis=1)[0]
        bins = part[:SIDES].reshape(4, BINS, -1)
        powers = np.exp(bins - bins.max(axis=1, keepdims=True))
        reach = (powers * np.arange(BINS)[:, None]).sum(axis=1) / powers.sum(axis=1)
        middle = cells(part.shape[1:]).T + 0.5
        corners.append(stride * np.concatenate([middle - reach[:2], middle + reach[2:]]).T)
        scores.append(_sigmoid(part[SIDES:].reshape(len(part) - SIDES, -1)).T)
    return RawBoxes(np.concatenate(corners), np.concatenate(scores))


def in_order(places: Sequence[int], shapes: Shapes) -> Sequence[int]:
    """The outputs of one scale of YOLOv8's heads, that of distributions first where there are two."""
    return places if shapes[places[0]][1] >= SIDES else places[::-1]


def _end_to_end(described: Described, parts: Wide) -> RawBoxes:
    del described
    (rows,) = parts
    if rows.shape[-1] != 6:
        raise ValueError("not rows of six")
    rows = rows.reshape(-1, 6)
    return RawBoxes(rows[:, :4], rows[:, 4:5], _kinds(rows[:, 5]))


def _suppressed(described: Described, parts: Wide) -> RawBoxes:
    del described
    boxes, kinds, scores, count = (part[0] for part in parts)
    if boxes.shape != (len(kinds), 4) or scores.shape != kinds.shape or np.size(count) != 1:
        raise ValueError("no boxes, classes, scores and count")
    most = int(np.clip(np.rint(np.nan_to_num(count)), 0, len(boxes)))
    return RawBoxes(boxes[:most, [1, 0, 3, 2]], scores[:most, None], _kinds(kinds[:most]))


def _kinds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(np.nan_to_num(values, nan=-1)).astype(np.int64)


def _pair(described: Described, parts: Wide) -> RawBoxes:
    del described
    first, second = (each[0] for each in parts)
    return RawBoxes(first, second)


def packed_priors(priors: NDArray[np.floating]) -> str:
    """Priors [N, 4] as text."""
    return base64.b64encode(np.ascontiguousarray(priors, "<f4").tobytes()).decode()


def priors_of(described: Described) -> NDArray[np.float64]:
    """Its priors [N, 4]. Raises ValueError where they are damaged."""
    return np.frombuffer(base64.b64decode(described.priors, validate=True), "<f4").reshape(-1, 4).astype(np.float64)


def _ssd_boxes(described: Described, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets (x, y, width, height) from priors, as corners (Liu et al. 2016, https://arxiv.org/abs/1512.02325)."""
    priors, (place, side) = priors_of(described), described.variances
    middle = priors[:, :2] + offsets[:, :2] * place * priors[:, 2:]
    return from_centres(
        np.concatenate([middle, priors[:, 2:] * np.exp(np.minimum(offsets[:, 2:] * side, MOST_GROWN))], axis=1)
    )


def _ssd(described: Described, parts: Wide) -> RawBoxes:
    raw = _pair(described, parts)
    return RawBoxes(_ssd_boxes(described, raw.corners), _softmax(raw.scores)[:, 1:])


def _ssd_sigmoid(described: Described, parts: Wide) -> RawBoxes:
    raw = _pair(described, parts)
    return RawBoxes(_ssd_boxes(described, raw.corners), _sigmoid(raw.scores))


def _detr(described: Described, parts: Wide) -> RawBoxes:
    raw = _pair(described, parts)
    return RawBoxes(from_centres(raw.corners), _softmax(raw.scores)[:, :-1])


def _rt_detr(described: Described, parts: Wide) -> RawBoxes:
    raw = _pair(described, parts)
    return RawBoxes(from_centres(raw.corners), _sigmoid(raw.scores))


_READERS: Mapping[Form, Callable[[Described, Wide], RawBoxes]] = {
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "yolov5-raw": _yolov5_raw,
    "yolov8-raw": _yolov8_raw,
    "end-to-end": _end_to_end,
    "detr": _detr,
    "rt-detr": _rt_detr,
    "boxes-scores": _pair,
    "boxes-scores-01": _pair,
    "ssd": _ssd,
    "ssd-sigmoid": _ssd_sigmoid,
    "suppressed": _suppressed,
}
