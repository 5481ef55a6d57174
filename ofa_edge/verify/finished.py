"""Finished boxes of two sides as sets: which of them both have.

Where one is missing, or two change places, a difference of numbers would say nothing of the others.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.boxes import Detections, overlaps
from ofa_edge.data.decoding import Decoding
from ofa_edge.records.scores import BoxesRecord

_OVERLAP, _SCORE = 0.9, 0.02  # how near a box of the same class has to be
_CANDIDATES = 30_000  # boxes before suppression: inside a graph all of them are


def as_finished(answers: NDArray[np.float32], decoding: Decoding) -> NDArray[np.float32]:
    """Raw outputs [N, values] decoded and suppressed outside the graph, as a graph with both inside answers."""
    outside, inside = dataclasses.replace(decoding, candidates=_CANDIDATES), decoding.after_suppression()
    return np.stack([inside.pack(outside.decode(row)) for row in answers])


def compare_boxes(reference: NDArray[np.floating], candidate: NDArray[np.floating], decoding: Decoding) -> BoxesRecord:
    """Boxes of the same images [N, values].

    Boxes that one side may have left out because it holds no more, or for their low score, count neither way.

    Args:
        reference: what the candidate is held against.
        candidate: likewise of the form `suppressed`.
        decoding: reads both.
    """
    counts, shared = np.zeros(2, np.int64), 0
    for rows in zip(reference, candidate, strict=True):
        sides = [decoding.decode(row) for row in rows]
        ends = [float(each.scores[-1]) for each in sides if len(each) == decoding.most]
        floor = max([decoding.least_score, *ends]) + _SCORE
        for place, (own, other) in enumerate((sides, sides[::-1])):
            mine = own.take(np.flatnonzero(own.scores >= floor))
            counts[place] += len(mine)
            shared += _found(mine, other)
    total = int(counts.sum())
    share = shared / total if total else 1.0
    return BoxesRecord(reference=int(counts[0]), candidate=int(counts[1]), share=share)


def _found(boxes: Detections, among: Detections) -> int:
    """How many of some boxes are among others, each of which stands for one."""
    near = overlaps(boxes.corners, among.corners) >= _OVERLAP
    near &= boxes.classes[:, None] == among.classes[None]
    near &= np.abs(boxes.scores[:, None] - among.scores[None]) <= _SCORE
    free, count = np.ones(len(among), bool), 0
    for row in near:
        hits = np.flatnonzero(row & free)
        if len(hits):
            free[hits[0]] = False
            count += 1
    return count
