"""Boxes as arrays: corners (x1, y1, x2, y2) in pixels of a network's input, what overlaps what, and detectors' outputs.

Nothing of ofa-edge is imported: builds of detectors carry this file as `example/boxes.py`.
"""

from __future__ import annotations  # a board's Python may be older than this project's

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float64]
Wide = Sequence[NDArray[np.float64]]
_PAIRS = ("detr", "rt-detr", "boxes-scores", "boxes-scores-01")  # two outputs, in either order
_CANDIDATES = 3000  # boxes before suppression, the most certain


@dataclass(frozen=True)
class Detections:
    """What a detector finds in one image, the most certain first.

    Attributes:
        corners: [D, 4], in pixels of its input.
        scores: [D], 0..1.
        classes: [D], numbers.
    """

    corners: Corners
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Detections:
        """Those of these indices, in that order."""
        return Detections(self.corners[index], self.scores[index], self.classes[index])


def from_centres(boxes: Corners) -> Corners:
    """(centre x, centre y, width, height) [..., 4] as corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def areas(corners: Corners) -> NDArray[np.float64]:
    """Of boxes [N, 4], in square pixels; 0 for one whose corners are the wrong way round."""
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0.0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def overlaps(first: Corners, second: Corners, crowd: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Intersection over union of each of `first` [N, 4] with each of `second` [M, 4]: [N, M].

    Of a box of `second` that stands for a crowd the union is the area of the first alone, as in COCO's evaluation.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    own = areas(first)[:, None]
    union = own + areas(second)[None] - shared
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    found: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def suppress(found: Detections, iou: float, most: int) -> Detections:
    """Non-maximum suppression, class by class: a box that overlaps a more certain one of its class by more goes.

    Args:
        found: the most certain first.
        iou: the overlap that two boxes may have.
        most: boxes that are kept.
    """
    # Boxes of different classes are moved apart, so that one pass serves all classes.
    reach = 2 * float(np.abs(found.corners).max(initial=0.0)) + 1
    apart = found.corners + (found.classes * reach)[:, None]
    left, kept = np.arange(len(found)), list[int]()
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        left = left[overlaps(apart[first][None], apart[left])[0] <= iou]
    return found.take(np.array(kept, np.int64))


def decoded(
    row: NDArray[np.floating],
    form: str,
    shapes: Sequence[Sequence[int]],
    classes: int,
    size: Sequence[int],
    iou: float | None,
    least_score: float,
    most: int,
    boxes: int,
) -> Detections:
    """The boxes of one image, the most certain first.

    Args:
        row: the numbers of all outputs, one behind the other.
        form: what the outputs are; this and the others as `decoding.Decoding` has them.
        shapes: of the outputs.
        classes: how many there are.
        size: height and width of the input.
        iou: overlap above which the less certain box goes; None: nothing is suppressed.
        least_score: of a box that is kept.
        most: boxes of an image.
        boxes: of two outputs, the place of the one that holds boxes.
    """
    ends = np.cumsum([int(np.prod(each)) for each in shapes])
    pieces = np.split(row, ends[:-1])
    parts = [pieces[place].reshape(tuple(shape)) for place, shape in enumerate(shapes)]
    corners, scores = raw_boxes(parts, form, size, boxes)
    if form == "end-to-end":
        numbers = np.rint(np.nan_to_num(parts[0].reshape(-1, 6)[:, 5], nan=-1)).astype(np.int64)
        keep = (scores[:, 0] >= least_score) & (numbers >= 0) & (numbers < classes)
        found = Detections(corners[keep], scores[keep, 0], numbers[keep])
    else:
        places, numbers = np.nonzero(scores >= least_score)
        found = Detections(corners[places], scores[places, numbers], numbers)
    found = found.take(np.flatnonzero(np.isfinite(found.corners).all(axis=1)))
    found = found.take(np.argsort(-found.scores, kind="stable")[:_CANDIDATES])
    if iou is None:
        return found.take(np.arange(min(len(found), most)))
    return suppress(found, iou, most)


def raw_boxes(
    parts: Sequence[NDArray[np.floating]], form: str, size: Sequence[int], boxes: int
) -> tuple[Corners, NDArray[np.float64]]:
    """Corners [N, 4] in pixels, and scores [N, classes]. Raises ValueError or IndexError for another form's outputs."""
    wide = [part.astype(np.float64) for part in parts]
    if form in _PAIRS and boxes:
        wide.reverse()
    corners, scores = _READERS[form](wide)
    if corners.ndim != 2 or corners.shape[1] != 4 or len(corners) != len(scores):
        raise ValueError("no boxes with a row of scores each")
    if form in ("detr", "rt-detr", "boxes-scores-01"):
        height, width = size
        corners = corners * np.array([width, height, width, height])
    return corners, scores


def _yolov5(parts: Wide) -> tuple[Corners, NDArray[np.float64]]:
    rows = np.concatenate(parts, axis=1)[0]
    return from_centres(rows[:, :4]), rows[:, 5:] * rows[:, 4:5]


def _yolov8(parts: Wide) -> tuple[Corners, NDArray[np.float64]]:
    columns = np.concatenate(parts, axis=1)[0]
    return from_centres(columns[:4].T), columns[4:].T


def _end_to_end(parts: Wide) -> tuple[Corners, NDArray[np.float64]]:
    (rows,) = parts
    if rows.shape[-1] != 6:
        raise ValueError("not rows of six")
    rows = rows.reshape(-1, 6)
    return rows[:, :4], rows[:, 4:5]


def _pair(parts: Wide) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes, and the other of two outputs."""
    first, second = (each[0] for each in parts)
    return first, second


def _detr(parts: Wide) -> tuple[Corners, NDArray[np.float64]]:
    boxes, logits = _pair(parts)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return from_centres(boxes), (powers / powers.sum(axis=1, keepdims=True))[:, :-1]


def _rt_detr(parts: Wide) -> tuple[Corners, NDArray[np.float64]]:
    boxes, logits = _pair(parts)
    return from_centres(boxes), 1 / (1 + np.exp(-np.clip(logits, -500, 500)))


_READERS: Mapping[str, Callable[[Wide], tuple[Corners, NDArray[np.float64]]]] = {
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "end-to-end": _end_to_end,
    "detr": _detr,
    "rt-detr": _rt_detr,
    "boxes-scores": _pair,
    "boxes-scores-01": _pair,
}
