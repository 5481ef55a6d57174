"""Suppression inside a TFLite file by LiteRT's own operator, beside plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from heads import decoding_of, head, save_passing, suppressed

from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.tflite.convert import convert, operators, run_tflite
from ofa_edge.export.tflite.suppress import write_suppressed

HEADS = ("yolov5 in pieces", "yolov8", "boxes-scores", "yolov5-raw", "yolov5-raw joined", "yolov8-raw apart", "ssd")


def made(folder, kind, precision="fp32", calibration=None):
    parts, boxes, scores = head(kind, seed=2)
    file, row = save_passing(folder / "raw.onnx", parts)
    decoding = decoding_of(kind, parts)
    convert(file, folder / "raw.tflite", precision, row.repeat(8, 0) if precision == "int8" else None)
    write_suppressed(folder / "raw.tflite", folder / "out.tflite", decoding)
    return decoding, row, suppressed(boxes, scores, decoding.most, decoding.iou, decoding.least_score)


@pytest.mark.parametrize("kind", HEADS)
def test_it_gives_the_boxes_of_plain_loops(kind, tmp_path):
    decoding, row, wanted = made(tmp_path, kind)
    found = run_tflite(tmp_path / "out.tflite", row)[0]
    read = decoding.after_suppression().decode(found)
    assert found[-1] == len(read) == len(wanted) > 50
    for place, (score, number, box) in enumerate(wanted):
        assert read.scores[place] == pytest.approx(score, abs=1e-5)
        assert read.classes[place] == number
        assert read.corners[place] == pytest.approx(box, abs=1e-2)


@pytest.mark.parametrize("kind", ["yolov8 in pieces", "yolov8-raw"])
def test_integers_are_decoded_as_the_file_itself_gives_them(kind, tmp_path):
    decoding, row, _ = made(tmp_path, kind, "int8")
    answers = run_tflite(tmp_path / "raw.tflite", row)[0]
    raw, found = (
        decoding.decode(answers),
        decoding.after_suppression().decode(run_tflite(tmp_path / "out.tflite", row)[0]),
    )
    assert len(found) == len(raw) > 50
    assert found.scores == pytest.approx(raw.scores, abs=1e-5)
    # Of equals, which are many in 256 steps, either may be kept: each is a box of the raw file all the same.
    every = replace(decoding, iou=None, most=10**6, candidates=10**6).decode(answers)
    for place in range(len(found)):
        same = (every.classes == found.classes[place]) & (np.abs(every.scores - found.scores[place]) < 1e-5)
        assert np.abs(every.corners[same] - found.corners[place]).max(axis=1).min() < 1e-2


def test_inspect_says_what_it_costs(tmp_path):
    made(tmp_path, "yolov8")
    assert operators(tmp_path / "out.tflite")[-1] == "custom TFLite_Detection_PostProcess"
    found = inspect_model(tmp_path / "out.tflite")
    assert found.faults == ()
    (finding,) = [each for each in found.findings if each.code == "suppression-inside"]
    assert "no delegate takes it" in finding.what
    assert finding.severity == "warning"
    assert "custom-operator" not in {each.code for each in found.findings}


def test_two_runs_give_the_same_bytes(tmp_path):
    decoding, _, _ = made(tmp_path, "yolov8-raw")
    write_suppressed(tmp_path / "raw.tflite", tmp_path / "again.tflite", decoding)
    assert (tmp_path / "out.tflite").read_bytes() == (tmp_path / "again.tflite").read_bytes()
