import numpy as np
import pytest

from ofa_edge.data.boxes import Detections
from ofa_edge.data.decoding import Decoding
from ofa_edge.records.manifest import Tolerance
from ofa_edge.verify.night_gates import (
    accuracy_gate,
    answers_gate,
    cycles_gate,
    growth_gate,
    instructions_gate,
    operators_gate,
    undelegated_gate,
)
from ofa_edge.verify.regression import Colour

LABELS = np.arange(1000) % 10


def logits(wrong):
    """Right answers but for the first `wrong` images."""
    answers = LABELS.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    return np.eye(10, dtype=np.float32)[answers]


@pytest.mark.parametrize(
    ("lost", "colour", "code"),
    [
        (0, Colour.GREEN, "no-drop"),
        (5, Colour.GREEN, "no-drop"),  # 0.5 points, and p 0.06
        (7, Colour.YELLOW, "drop-without-evidence"),  # p 0.016
        (8, Colour.RED, "accuracy-dropped"),  # p 0.008 and 0.8 points
    ],
)
def test_accuracy(lost, colour, code):
    found = accuracy_gate(logits(100), logits(100 + lost), LABELS)
    assert (found.decision.colour, found.decision.code) == (colour, code)
    assert [flip.image for flip in found.flips] == list(range(100, 100 + lost))


def test_certain_but_tiny_is_yellow():
    labels = np.zeros(4000, np.int64)
    one, other = np.eye(10, dtype=np.float32)[labels], np.eye(10, dtype=np.float32)[labels]
    other[:12] = np.eye(10, dtype=np.float32)[1]
    assert accuracy_gate(one, other, labels).decision.code == "evidence-of-little"


def test_a_better_candidate_is_green_however_certain():
    assert accuracy_gate(logits(200), logits(50), LABELS).decision.colour is Colour.GREEN


def test_a_flip_names_both_answers():
    flip = accuracy_gate(logits(0), logits(1), LABELS).flips[0]
    assert (flip.image, flip.label, flip.golden, flip.candidate) == (0, 0, 0, 1)


def test_the_floor_is_the_fp32_networks():
    def judged(wrong, fp32_wrong):
        same = logits(wrong)
        return accuracy_gate(same, same, LABELS, fp32=np.arange(1000) >= fp32_wrong).decision

    assert judged(100, 90).colour is Colour.GREEN
    # 2.2 % of fp32's top-1 are lost, 20 of 1,000 images: its interval holds the floor.
    assert (judged(100, 80).colour, judged(100, 80).code) == (Colour.YELLOW, "floor-not-told")
    assert "1,000 images cannot tell, about" in judged(100, 80).reason
    assert (judged(100, 50).colour, judged(100, 50).code) == (Colour.RED, "below-floor")


def test_a_small_night_is_red_for_no_bare_ratio():
    labels, few = LABELS[:50], logits(6)[:50]
    assert accuracy_gate(few, few, labels, fp32=np.arange(50) >= 4).decision.colour is Colour.YELLOW


@pytest.mark.parametrize(
    ("candidate", "colour"), [(1000, Colour.GREEN), (1009, Colour.GREEN), (1020, Colour.YELLOW), (1051, Colour.RED)]
)
def test_growth(candidate, colour):
    assert growth_gate("peak memory", 1000, candidate, (0.01, 0.05)).colour is colour


def test_modelled_cycles_are_never_red():
    assert cycles_gate(1_000_000, 1_029_999).code == "cycles-kept"
    assert cycles_gate(1_000_000, 1_030_001).colour is Colour.YELLOW
    assert cycles_gate(1_000_000, 9_000_000).colour is Colour.YELLOW


def test_instructions_are_gated_at_one_percent():
    assert instructions_gate(1_000_000, 1_009_999).colour is Colour.GREEN
    assert instructions_gate(1_000_000, 1_010_001).colour is Colour.RED


def test_one_more_undelegated_operator_is_red():
    assert undelegated_gate({"MEAN": 1}, {"MEAN": 1}).colour is Colour.GREEN
    found = undelegated_gate({"MEAN": 1}, {"MEAN": 2, "PAD": 1})
    assert (found.colour, found.reason) == (Colour.RED, "left to slow kernels: MEAN +1, PAD +1")


def test_another_operator_list_is_shown():
    found = operators_gate({"ADD": 2, "PAD": 1}, {"ADD": 3})
    assert (found.colour, found.reason) == (Colour.YELLOW, "ADD 2 -> 3, PAD 1 -> 0")


ANSWERS = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
OTHERS = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)


@pytest.mark.parametrize(
    ("golden", "candidate", "fp32", "colour", "code"),
    [
        (ANSWERS, ANSWERS, ANSWERS, Colour.GREEN, "answers-kept"),
        (ANSWERS, ANSWERS + 0.001, None, Colour.GREEN, "answers-kept"),
        (ANSWERS, OTHERS, OTHERS, Colour.YELLOW, "answers-moved"),
        (ANSWERS, OTHERS, ANSWERS, Colour.RED, "unlike-fp32"),
        (ANSWERS, ANSWERS, OTHERS, Colour.RED, "unlike-fp32"),
        (ANSWERS, np.full_like(ANSWERS, np.nan), ANSWERS, Colour.RED, "unlike-fp32"),
        (np.full_like(ANSWERS, np.nan), ANSWERS, ANSWERS, Colour.YELLOW, "answers-moved"),
        (ANSWERS[:, :29], ANSWERS, ANSWERS, Colour.YELLOW, "answers-moved"),
    ],
)
def test_answers_without_labels_are_held_to_their_own_network_first(golden, candidate, fp32, colour, code):
    found = answers_gate(golden, candidate, fp32, Tolerance(snr_db=40.0))
    assert (found.colour, found.code) == (colour, code)


def test_finished_boxes_without_labels_are_held_to_their_own_network_as_a_set():
    reader = Decoding.of("yolov8", [(1, 6, 40)], 2, (100, 100)).after_suppression()
    corners = np.array([[10, 10, 50, 50], [60, 60, 90, 90]], float)
    kinds = np.array([0, 1])
    rows = reader.pack(Detections(corners, np.array([0.9, 0.8]), kinds))[None]
    turned = reader.pack(Detections(corners[::-1], np.array([0.9, 0.89]), kinds[::-1]))[None]
    other = reader.pack(Detections(corners + 30, np.array([0.9, 0.8]), kinds))[None]
    least = Tolerance(snr_db=40.0, boxes=0.9)
    assert answers_gate(rows, rows, rows, least, reader).code == "answers-kept"
    near = reader.pack(Detections(corners[::-1], np.array([0.81, 0.89]), kinds[::-1]))[None]
    assert answers_gate(rows, near, rows, least, reader).code == "answers-kept"  # in another order
    assert answers_gate(rows, other, rows, least, reader).code == "unlike-fp32"
    assert answers_gate(rows, other, other, least, reader).code == "answers-moved"
    assert answers_gate(rows, turned, rows, least, reader).reason.endswith("50.0 % of boxes, 90 % allowed")
