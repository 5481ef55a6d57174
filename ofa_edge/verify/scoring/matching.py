"""Which detections are right, as COCO's evaluation has it (T.-Y. Lin et al., Microsoft COCO, ECCV 2014; pycocotools).

Class by class, the most certain detection first: each takes the object that it overlaps most, of those that nobody has
taken; boxes that stand for crowds take any number, and what they take counts neither way.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import Boxes
from ofa_edge.data.boxes import Detections, overlaps

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 100  # detections of a class in an image


@dataclass(frozen=True)
class ClassMatches:
    """Detections of one class over all images, the most certain first.

    Attributes:
        images: number of the image of each [D].
        right: whether it found an object, at each threshold [T, D].
        ignored: whether it counts neither way [T, D].
        objects: to be found in each image [N].
        found: of them, at each threshold [T, N].
    """

    images: NDArray[np.int64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]
    found: NDArray[np.int64]

    @functools.cached_property
    def marks(self) -> NDArray[np.int64]:
        """Places of detections that are right at some threshold: there alone recall grows, and precision is highest."""
        return np.flatnonzero(self.right.any(axis=0))

    @functools.cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether it counts as found where there is nothing, at each threshold, up to the last mark [T, D]."""
        end = self.marks[-1] + 1 if self.marks.size else 0
        return np.asarray(~(self.right[:, :end] | self.ignored[:, :end]))


def match(detections: Sequence[Detections], truth: Boxes, classes: int) -> tuple[ClassMatches, ...]:
    """Match the detections of each image [N] with its objects, class by class."""
    return tuple(_match_class(detections, truth, number) for number in range(classes))


def _match_class(detections: Sequence[Detections], truth: Boxes, number: int) -> ClassMatches:
    count, steps = len(detections), len(THRESHOLDS)
    objects, found = np.zeros(count, np.int64), np.zeros((steps, count), np.int64)
    images, scores = list[NDArray[np.int64]](), list[NDArray[np.float64]]()
    right, ignored = [np.zeros((steps, 0), bool)], [np.zeros((steps, 0), bool)]
    of_class = truth.classes == number
    for image, all_of_image in enumerate(detections):
        mine = of_class & (truth.images == image)
        boxes, crowd = truth.corners[mine], truth.crowd[mine]
        objects[image] = (~crowd).sum()
        seen = all_of_image.take(np.flatnonzero(all_of_image.classes == number)[:_MOST])
        if not len(seen):
            continue
        taken = match_image(overlaps(seen.corners, boxes, crowd), crowd)
        right.append(taken == 1)
        ignored.append(taken == 2)
        found[:, image] = (taken == 1).sum(axis=1)
        images.append(np.full(len(seen), image))
        scores.append(seen.scores)
    if not images:
        return ClassMatches(np.zeros(0, np.int64), right[0], ignored[0], objects, found)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    sorted_right, sorted_ignored = (np.concatenate(each, axis=1)[:, order] for each in (right, ignored))
    return ClassMatches(np.concatenate(images)[order], sorted_right, sorted_ignored, objects, found)


def match_image(iou: NDArray[np.float64], crowd: NDArray[np.bool_]) -> NDArray[np.int8]:
    """What each detection of a class in one image took, at each threshold: 0 nothing, 1 an object, 2 a crowd [T, D].

    Args:
        iou: of each detection, the most certain first, with each box [D, G].
        crowd: which boxes stand for crowds [G].
    """
    taken = np.zeros((len(THRESHOLDS), len(iou)), np.int8)
    plain, crowds = np.flatnonzero(~crowd), np.flatnonzero(crowd)
    free = np.ones((len(THRESHOLDS), len(plain)), bool)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)
    for number, row in enumerate(iou):
        if not (row >= least[0]).any():
            continue
        if len(plain):
            open_to = np.where(free & (row[plain] >= least[:, None]), row[plain], -1.0)
            best = len(plain) - 1 - open_to[:, ::-1].argmax(axis=1)  # of equals the last, as in COCO's evaluation
            hit = open_to[np.arange(len(least)), best] >= 0
            free[hit, best[hit]] = False
            taken[hit, number] = 1
        if len(crowds):
            taken[(taken[:, number] == 0) & (row[crowds].max() >= least), number] = 2
    return taken


def average_precisions(matches: ClassMatches, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision at each threshold [T]; nan where there is nothing to be found.

    Args:
        matches: of one class.
        weights: how often each image counts [N].
    """
    objects = float(weights @ matches.objects)
    if not objects:
        return np.full(len(THRESHOLDS), np.nan)
    marks = matches.marks
    if not marks.size:
        return np.zeros(len(THRESHOLDS))
    each = weights[matches.images[: marks[-1] + 1]]
    right = np.cumsum(each[marks] * matches.right[:, marks], axis=1)
    begins = np.concatenate([[0], marks[:-1] + 1])
    wrong = np.cumsum(np.add.reduceat(each * matches.wrong, begins, axis=1), axis=1)
    precision = right / np.maximum(right + wrong, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / objects
    found = np.zeros(len(THRESHOLDS))
    for step in range(len(THRESHOLDS)):
        places = np.searchsorted(recall[step], RECALLS, side="left")
        found[step] = precision[step][places[places < recall.shape[1]]].sum() / len(RECALLS)
    return found
