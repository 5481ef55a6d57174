"""Boxes as arrays: corners (x1, y1, x2, y2) in pixels of a network's input, and what overlaps what.

Nothing of ofa-edge is imported: builds of detectors carry this file as `example/python/boxes.py`.
"""

from __future__ import annotations  # a board's Python may be older than this project's

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float64]


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
