"""Suppression inside an ONNX file, beside plain loops."""

import numpy as np
import onnx
import pytest
from heads import CLASSES, HEADS, SIZE, decoding_of, head, save_passing, suppressed

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import FINISHED
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.onnx.suppress import write_suppressed


@pytest.mark.parametrize("kind", HEADS)
def test_it_gives_the_boxes_of_plain_loops(kind, tmp_path):
    parts, boxes, scores = head(kind, seed=1)
    file, row = save_passing(tmp_path / "raw.onnx", parts)
    decoding = decoding_of(kind, parts)
    write_suppressed(file, tmp_path / "out.onnx", decoding)
    wanted = suppressed(boxes, scores, decoding.most, decoding.iou, decoding.least_score)
    found = run_onnx(tmp_path / "out.onnx", row)[0]
    most = decoding.most
    corners, kinds, certain, count = np.split(found, [4 * most, 5 * most, 6 * most])
    assert count == len(wanted) > 50
    height, width = SIZE
    for place, (score, number, (x1, y1, x2, y2)) in enumerate(wanted):
        assert certain[place] == pytest.approx(score, abs=1e-5)
        assert kinds[place] == number
        box = (y1 / height, x1 / width, y2 / height, x2 / width)
        assert corners[4 * place : 4 * place + 4] == pytest.approx(box, abs=1e-4)
    for rest in (corners[4 * len(wanted) :], kinds[len(wanted) :], certain[len(wanted) :]):
        assert not rest.any()


def test_nothing_found_is_no_box(tmp_path):
    file, row = save_passing(tmp_path / "raw.onnx", [np.zeros((1, 9, 40))])
    write_suppressed(file, tmp_path / "out.onnx", Decoding.of("yolov8", [(1, 9, 40)], CLASSES, SIZE))
    assert not run_onnx(tmp_path / "out.onnx", row).any()


def test_names_of_raw_outputs_may_be_those_of_the_finished_ones(tmp_path):
    file, row = save_passing(tmp_path / "raw.onnx", head("boxes-scores")[0])
    model = onnx.load(file)
    for node, output, name in zip(model.graph.node, model.graph.output, FINISHED, strict=False):
        node.output[0] = output.name = name
    onnx.save(model, file)
    decoding = Decoding.of("boxes-scores", [(1, 150, 5), (1, 150, 4)], CLASSES, SIZE)
    write_suppressed(file, tmp_path / "out.onnx", decoding)
    made = onnx.load(tmp_path / "out.onnx")
    assert tuple(each.name for each in made.graph.output) == FINISHED
    assert run_onnx(tmp_path / "out.onnx", row)[0, -1] > 50


def test_two_runs_give_the_same_bytes(tmp_path):
    file, _ = save_passing(tmp_path / "raw.onnx", [np.zeros((1, 9, 40))])
    decoding = Decoding.of("yolov8", [(1, 9, 40)], CLASSES, SIZE)
    for name in ("a", "b"):
        write_suppressed(file, tmp_path / name, decoding)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
