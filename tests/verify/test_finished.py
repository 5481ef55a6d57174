"""Finished boxes as sets: what counts as the same, and what counts neither way."""

import numpy as np
import pytest

from ofa_edge.data.boxes import Detections
from ofa_edge.data.decoding import Decoding
from ofa_edge.verify.finished import as_finished, compare_boxes
from ofa_edge.verify.ladder import EXACT, Answers, conversion_tolerance, device_tolerance, loosest, rung
from ofa_edge.vocabulary import PRECISIONS

READER = Decoding.of("yolov8", [(1, 6, 40)], 2, (100, 100)).after_suppression()


def packed(*boxes):
    """A row of boxes (x1, y1, x2, y2, score, class), the most certain first."""
    table = np.array(boxes, float).reshape(-1, 6)
    return READER.pack(Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64)))


BOXES = ((10, 10, 50, 50, 0.9, 0), (60, 60, 90, 90, 0.8, 1), (20, 60, 40, 90, 0.3, 0))


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (BOXES, 1.0),
        ((BOXES[1], BOXES[0], BOXES[2]), 1.0),  # in another order
        (BOXES[:2], 4 / 5),
        (((10, 10, 50, 51, 0.89, 0), *BOXES[1:]), 1.0),
        (((10, 10, 50, 60, 0.9, 0), *BOXES[1:]), 2 / 3),  # elsewhere
        (((10, 10, 50, 50, 0.8, 0), *BOXES[1:]), 2 / 3),  # less certain
        (((10, 10, 50, 50, 0.9, 1), *BOXES[1:]), 2 / 3),  # of another class
        ((BOXES[0], BOXES[0], *BOXES[1:]), 6 / 7),  # twice
        ((*BOXES, (1, 1, 9, 9, 0.01, 0)), 1.0),  # near the score below which nothing is kept
        ((), 0.0),
    ],
)
def test_boxes_that_both_sides_have(other, share):
    found = compare_boxes(packed(*BOXES)[None], packed(*other)[None], READER)
    assert found.share == pytest.approx(share)
    assert found.reference == 3


def test_what_a_full_side_had_no_room_for_counts_neither_way():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (READER.most, 2))
    many = np.column_stack([low, low + 30, np.linspace(0.9, 0.5, READER.most), rng.integers(0, 2, READER.most)])
    fewer = many[many[:, 4] > 0.515]
    found = compare_boxes(packed(*many)[None], packed(*fewer)[None], READER)
    assert found.share > 0.99
    assert 100 < found.reference < READER.most


def test_nothing_on_either_side_is_said():
    assert compare_boxes(packed()[None], packed()[None], READER).share == 1
    found = rung(Answers("b", packed()[None]), Answers("a", packed()[None]), EXACT, None, finished=READER)
    assert found.note == "no box to compare"


def test_a_rung_of_boxes_fails_where_some_are_missing():
    first, last = Answers("a", packed(*BOXES)[None]), Answers("b", packed(*BOXES[:2])[None])
    found = rung(last, first, EXACT, None, finished=READER)
    assert found.outcome == "fail"
    assert found.note.startswith("under 99 % of the boxes are on both sides; 80.00 % of 3 and 2 boxes")
    assert (found.snr_db, found.max_abs, found.tolerance.snr_db) == (None, None, None)
    assert rung(first, first, EXACT, None, finished=READER).outcome == "pass"


def test_every_precision_says_how_many_boxes_have_to_be_alike():
    for precision in PRECISIONS:
        for tolerance in (conversion_tolerance(precision), device_tolerance(precision)):
            assert 0.5 < tolerance.boxes < 1
            assert loosest(EXACT, tolerance).boxes == tolerance.boxes


def test_raw_outputs_are_suppressed_outside():
    decoding = Decoding.of("yolov8", [(1, 6, 3)], 2, (100, 100))
    columns = [[30, 30, 40, 40, 0.9, 0], [31, 30, 40, 40, 0.8, 0], [75, 75, 30, 30, 0, 0.7]]
    rows = as_finished(np.array(columns, np.float32).T.reshape(1, -1), decoding)
    found = decoding.after_suppression().decode(rows[0])
    assert found.corners == pytest.approx(np.array([[10, 10, 50, 50], [60, 60, 90, 90]]), abs=1e-4)
    assert found.classes.tolist() == [0, 1]
