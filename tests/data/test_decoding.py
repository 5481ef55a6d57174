"""From raw outputs to boxes: beside ONNX Runtime's own suppression, and by hand in every form."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ofa_edge.data.boxes import Detections, from_centres, overlaps, suppress
from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import FORM_WORDS, classes_of, form_of
from ofa_edge.data.priors import Priors
from ofa_edge.data.raw_boxes import packed_priors
from ofa_edge.errors import ConfigError
from ofa_edge.vocabulary import FORMS as ALL_FORMS

SIZE = (64, 96)
BOXES = np.array([[10.0, 12, 8, 6], [11, 12, 8, 6], [50, 40, 20, 10]])  # centres; the first two overlap
SCORES = np.array([[0.9, 0.1, 0.0], [0.6, 0.2, 0.0], [0.0, 0.0, 0.7]])


def onnx_suppression(boxes, scores, iou, most):
    """(class, box) kept by ONNX's NonMaxSuppression."""
    names = ["boxes", "scores", "most", "iou", "least"]
    graph = helper.make_graph(
        [helper.make_node("NonMaxSuppression", names, ["kept"])],
        "g",
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, None, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, None, None]),
            helper.make_tensor_value_info("most", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("iou", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("least", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = [boxes[None], scores.T[None], np.array([most]), np.array([iou]), np.array([0.05])]
    kinds = [np.float32, np.float32, np.int64, np.float32, np.float32]
    (kept,) = session.run(None, {n: v.astype(k) for n, v, k in zip(names, feed, kinds, strict=True)})
    return {(int(number), int(box)) for _, number, box in kept}


@pytest.mark.parametrize("seed", range(5))
def test_suppression_keeps_what_onnx_runtime_keeps(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (80, 2))
    corners = np.concatenate([low, low + rng.uniform(5, 40, (80, 2))], axis=1).astype(np.float32).astype(np.float64)
    scores = rng.permutation(240).reshape(80, 3) / 240
    places, classes = np.nonzero(scores > 0.05)
    order = np.argsort(-scores[places, classes], kind="stable")
    found = Detections(corners[places][order], scores[places, classes][order], classes[order])
    kept = suppress(found, 0.45, 10**6)
    boxes = {tuple(box): number for number, box in enumerate(corners)}
    ours = {(int(number), boxes[tuple(box)]) for box, number in zip(kept.corners, kept.classes, strict=True)}
    assert ours == onnx_suppression(corners, scores, 0.45, 1000)
    assert 10 < len(ours) < len(found)
    assert len(suppress(found, 0.45, 7)) == 7


FORMS = [form for form in ALL_FORMS if not form.endswith("-raw") and "ssd" not in form]  # heads: test_raw_boxes


def outputs_of(form):  # noqa: PLR0911 - a form each
    """The same three boxes as outputs of a form, and which of them it gives."""
    corners, share = from_centres(BOXES), np.array([96, 64, 96, 64])
    if form == "yolov5":
        rows = np.concatenate([BOXES, np.full((3, 1), 0.5), 2 * np.minimum(SCORES, 0.5)], axis=1)
        return [rows[None]], np.minimum(SCORES, 0.5)
    if form == "yolov8":
        return [np.concatenate([BOXES, SCORES], axis=1).T[None]], SCORES
    if form == "end-to-end":
        kinds = SCORES.argmax(axis=1)
        ends = np.zeros((1, 5, 6))
        ends[0, :3] = np.column_stack([corners, SCORES.max(axis=1), kinds])
        return [ends], np.where(SCORES.max(axis=1, keepdims=True) == SCORES, SCORES, 0)
    if form == "suppressed":
        places, kinds = np.nonzero(SCORES > 0.001)
        boxes = (corners / share)[places][:, [1, 0, 3, 2]]
        scores = SCORES[places, kinds]
        return [boxes[None], kinds[None].astype(float), scores[None], np.array([len(places)])], SCORES
    if form == "detr":
        left = 1 - SCORES.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            logits = np.log(np.maximum(np.concatenate([SCORES, left], axis=1), 1e-9)) + 5
        return [logits[None], (BOXES / share)[None]], SCORES
    if form == "rt-detr":
        kept = np.clip(SCORES, 1e-9, 1)
        return [np.log(kept / (1 - kept + 1e-12))[None], (BOXES / share)[None]], SCORES
    if form == "boxes-scores-01":
        return [(corners / share)[None], SCORES[None]], SCORES
    return [corners[None], SCORES[None]], SCORES


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_boxes_that_it_holds(form):
    parts, scores = outputs_of(form)
    decoding = Decoding.of(form, [part.shape for part in parts], 3, SIZE)
    found = decoding.decode(np.concatenate([part.ravel() for part in parts]).astype(np.float32))
    wanted = {(box, number): scores[box, number] for box, number in zip(*np.nonzero(scores > 0.001), strict=True)}
    if decoding.iou is not None:
        wanted = {key: score for key, score in wanted.items() if key not in ((1, 0), (0, 1))}  # the less certain of two
    assert len(found) == len(wanted)
    assert (np.diff(found.scores) <= 0).all()
    corners = from_centres(BOXES)
    for box, score, number in zip(found.corners, found.scores, found.classes, strict=True):
        place = next(place for place, each in enumerate(corners) if np.allclose(each, box, atol=1e-3))
        assert score == pytest.approx(wanted.pop((place, int(number))), abs=1e-6)
    assert not wanted


@pytest.mark.parametrize("form", FORMS)
def test_it_is_read_back_from_json(form):
    parts, _ = outputs_of(form)
    decoding = Decoding.of(form, [part.shape for part in parts], 3, SIZE)
    assert Decoding.from_json(decoding.to_json()) == decoding
    assert form in FORM_WORDS


@pytest.mark.parametrize(
    ("shapes", "classes", "form"),
    [
        ([(1, 25200, 85)], 80, "yolov5"),
        ([(1, 84, 8400)], 80, "yolov8"),
        ([(1, 84, 8400)], None, "yolov8"),
        ([(1, 25200, 85)], None, "yolov5"),
        ([(1, 300, 6)], 80, "end-to-end"),
        ([(1, 300, 6)], None, "end-to-end"),
        ([(1, 25200, 6)], 1, "yolov5"),
        ([(1, 5, 8400)], 1, "yolov8"),
        ([(1, 100, 92), (1, 100, 4)], 91, "detr"),
        ([(1, 1000, 4), (1, 1000, 20)], 20, "boxes-scores"),
        ([(1, 84, 8400)], 91, None),
        ([(1, 1000)], None, None),
        ([(1, 255, 80, 80)] * 3, 80, None),
    ],
)
def test_forms_are_told_by_their_shapes(shapes, classes, form):
    assert form_of(shapes, classes) == form


def test_the_number_of_classes_is_told_by_the_shapes():
    assert classes_of("yolov8", [(1, 4, 8400), (1, 80, 8400)]) == 80
    assert classes_of("yolov5", [(1, 25200, 85)]) == 80
    assert classes_of("detr", [(1, 100, 92), (1, 100, 4)]) == 91
    assert classes_of("rt-detr", [(1, 300, 80), (1, 300, 4)]) == 80
    assert classes_of("end-to-end", [(1, 300, 6)]) is None


@pytest.mark.parametrize("form", [*FORMS, "ssd", "ssd-sigmoid"])
def test_outputs_of_another_form_are_refused(form):
    with pytest.raises(ConfigError, match=f"not those of {form}") as caught:
        Decoding.of(form, [(1, 17, 19)], 5, SIZE)
    assert "--decode" in caught.value.hint


@pytest.mark.parametrize("change", [{"form": "yolov99"}, {"iou": "much"}, {"shapes": [[1, 3, 7]]}, {"size": [64]}])
def test_a_damaged_record_is_refused(change):
    good = Decoding.of("yolov8", [(1, 7, 40)], 3, SIZE).to_json()
    with pytest.raises(ConfigError):
        Decoding.from_json(good | change)


def test_overlaps_are_those_by_hand():
    one = np.array([[0.0, 0, 10, 10]])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 5, 5], [3, 3, 3, 3]])
    np.testing.assert_allclose(overlaps(one, others), [[1, 50 / 150, 0, 0.25, 0]])
    crowd = np.array([False, True, False, False, False])
    assert overlaps(one, others, crowd)[0, 1] == 0.5


def test_boxes_that_are_no_numbers_are_left_out():
    decoding = Decoding.of("end-to-end", [(1, 2, 6)], 3, SIZE)
    row = np.array([[np.nan, 0, 9, 9, 0.9, 1], [0, 0, 9, 9, 0.8, 2]], np.float32).ravel()
    assert decoding.decode(row).classes.tolist() == [2]


@pytest.mark.parametrize("change", [{"priors": np.nan}, {"priors": np.inf}, {"variances": [float("nan"), 0.2]}])
def test_a_record_of_priors_that_are_no_numbers_is_refused(change):
    shapes = [(1, 6, 4), (1, 6, 3)]
    said = Decoding.of("ssd", shapes, 2, SIZE, priors=Priors(packed_priors(np.ones((6, 4))))).to_json()
    if "priors" in change:
        change = {"priors": packed_priors(np.full((6, 4), change["priors"]))}
    with pytest.raises(ConfigError, match="boxes are no numbers"):
        Decoding.from_json({**said, **change})
