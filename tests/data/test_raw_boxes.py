"""Boxes out of raw outputs, beside plain loops over cells."""

import numpy as np
import pytest
from heads import ANCHORS, CLASSES, HEADS, SIZE, decoding_of, head, priors, suppressed

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import classes_of, form_of
from ofa_edge.data.priors import Priors
from ofa_edge.data.raw_boxes import packed_priors
from ofa_edge.errors import ConfigError


@pytest.mark.parametrize("kind", HEADS)
def test_boxes_are_those_of_plain_loops(kind):
    parts, boxes, scores = head(kind)
    decoding = decoding_of(kind, parts)
    found = decoding.decode(np.concatenate([part.ravel() for part in parts]))
    wanted = suppressed(boxes, scores, decoding.most, decoding.iou, decoding.least_score)
    assert len(found) == len(wanted) > 50
    for place, (score, number, box) in enumerate(wanted):
        assert found.scores[place] == pytest.approx(score, abs=1e-9)
        assert found.classes[place] == number
        assert found.corners[place] == pytest.approx(box, abs=1e-6)
    assert Decoding.from_json(decoding.to_json()) == decoding


def test_the_order_of_scales_is_no_matter():
    parts, _, _ = head("yolov8-raw")
    rows = [np.concatenate([part.ravel() for part in order]) for order in (parts, parts[::-1])]
    one, other = (
        decoding_of("yolov8-raw", order).decode(row) for order, row in zip((parts, parts[::-1]), rows, strict=True)
    )
    assert np.array_equal(one.corners, other.corners)


def test_packed_boxes_are_read_back():
    parts, _, _ = head("yolov8")
    decoding = decoding_of("yolov8", parts)
    found = decoding.decode(np.concatenate([part.ravel() for part in parts]))
    finished = decoding.after_suppression()
    again = finished.decode(finished.pack(found))
    assert again.corners == pytest.approx(found.corners, abs=1e-4)
    assert again.scores == pytest.approx(found.scores, abs=1e-6)
    assert np.array_equal(again.classes, found.classes)
    assert len(finished.decode(finished.pack(found.take(np.arange(0))))) == 0


@pytest.mark.parametrize("kind", ["yolov5-raw", "yolov5-raw joined", "yolov8-raw", "yolov8-raw apart"])
def test_cut_heads_are_told_by_their_shapes(kind):
    shapes = [part.shape for part in head(kind)[0]]
    assert form_of(shapes, CLASSES) == kind.split()[0]
    assert classes_of(kind.split()[0], shapes, len(ANCHORS)) == CLASSES
    assert form_of(shapes[:1], CLASSES) is None
    assert form_of([*shapes, (1, 7)], CLASSES) is None
    assert form_of(shapes, 11) is None


def test_shapes_that_two_forms_have_are_told_by_the_number_of_classes():
    shapes = [(1, 255, size, size) for size in (80, 40, 20)]
    assert form_of(shapes, 80) == "yolov5-raw"
    assert form_of(shapes, 191) == "yolov8-raw"
    assert form_of(shapes, None) is None
    assert form_of([(1, 65, size, size) for size in (80, 40, 20)], None) == "yolov8-raw"


@pytest.mark.parametrize("anchors", [(), ANCHORS[:5], ANCHORS[:9], (*ANCHORS[:-1], -1.0)])
def test_anchors_that_do_not_fit_are_refused(anchors):
    shapes = [part.shape for part in head("yolov5-raw")[0]]
    with pytest.raises(ConfigError, match="needs the anchors of its 3 outputs") as caught:
        Decoding.of("yolov5-raw", shapes, CLASSES, SIZE, anchors=anchors)
    assert "--anchors" in caught.value.hint


def test_anchors_of_other_forms_and_grids_of_other_inputs_are_refused():
    with pytest.raises(ConfigError, match="--anchors with outputs of yolov8"):
        Decoding.of("yolov8", [(1, 9, 40)], CLASSES, SIZE, anchors=ANCHORS)
    shapes = [part.shape for part in head("yolov8-raw")[0]]
    with pytest.raises(ConfigError, match="not those of yolov8-raw"):
        Decoding.of("yolov8-raw", shapes, CLASSES, (64, 100))
    with pytest.raises(ConfigError, match="not those of yolov5-raw"):
        Decoding.of("yolov5-raw", shapes, CLASSES, SIZE, anchors=ANCHORS)


def test_priors_that_do_not_fit_are_refused():
    shapes = [part.shape for part in head("ssd")[0]]
    few = Priors(packed_priors(priors()[:-1]))
    for given, words in ((None, "none are given"), (few, f"{len(priors()) - 1} given")):
        with pytest.raises(ConfigError, match=f"needs the prior of each of its {len(priors())} boxes") as caught:
            Decoding.of("ssd", shapes, CLASSES, SIZE, priors=given)
        assert (caught.value.why, "--priors" in caught.value.hint) == (words, True)
    with pytest.raises(ConfigError, match="--priors with outputs of yolov8"):
        Decoding.of("yolov8", [(1, 9, 40)], CLASSES, SIZE, priors=few)
    damaged = {**decoding_of("ssd", head("ssd")[0]).to_json(), "priors": "no"}
    with pytest.raises(ConfigError):
        Decoding.from_json(damaged)
