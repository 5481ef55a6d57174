"""What a detector's one output is joined from, and its numbers piece by piece."""

import numpy as np
import onnx
import pytest
from onnx_text import save_model
from squares import GRID, INPUT, save_detector

from ofa_edge.export.onnx.given import read_given
from ofa_edge.export.onnx.pieces import in_pieces, pieces_of
from ofa_edge.export.onnx.prepare import prepare
from ofa_edge.export.onnx.run import run_onnx

CELLS = GRID * GRID
HALVES = [(1, CELLS // 2, 2), (1, CELLS // 2, 2), (1, CELLS // 2, 3)] * 2


@pytest.mark.parametrize(
    ("form", "shapes"),
    [
        ("yolov8", [(1, 4, CELLS), (1, 2, CELLS)]),
        ("yolov5 joined", HALVES),
        ("yolov5", []),  # its last node turns what was joined
        ("boxes-scores", []),  # two outputs
    ],
)
def test_pieces_give_the_numbers_of_the_whole(form, shapes, tmp_path):
    given = read_given(save_detector(tmp_path / "d.onnx", form=form))
    pieces = pieces_of(given)
    assert [each.shape for each in pieces] == shapes
    images = np.random.default_rng(0).random((2, 3, INPUT, INPUT), np.float32)
    changes = prepare(given, tmp_path / "ready.onnx", pieces)
    wanted = in_pieces(given.answers(images), pieces)
    assert np.array_equal(run_onnx(tmp_path / "ready.onnx", images), wanted)
    assert any("pieces" in words for words in changes) == bool(pieces)
    names = [each.name for each in pieces] or list(given.outputs)
    assert [each.name for each in onnx.load(tmp_path / "ready.onnx").graph.output] == names


def test_numbers_are_put_one_piece_behind_the_other(tmp_path):
    given = read_given(save_detector(tmp_path / "d.onnx", form="yolov5 joined"))
    pieces = pieces_of(given)
    whole = np.arange(CELLS * 7, dtype=np.float32).reshape(1, CELLS, 7)
    half = CELLS // 2
    parts = [
        whole[0, start : start + half, first:last].ravel()
        for start in (0, half)
        for first, last in ((0, 2), (2, 4), (4, 7))
    ]
    assert np.array_equal(in_pieces(whole.reshape(1, -1), pieces)[0], np.concatenate(parts))
    assert in_pieces(whole, ()) is whole


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(input) logits = Concat<axis=1>(a, a)",  # one value twice
        "a = Relu(input) logits = Concat<axis=1>(a, k)",  # a constant
        "a = Relu(input) b = Concat<axis=2>(a, a) logits = Reshape(b, s)",
        "a = Relu(input) logits = Transpose<perm=[0, 2, 1]>(a)",
    ],
)
def test_what_is_not_joined_from_values_stays_whole(body, tmp_path):
    weights = {"s": np.array([1, 12, 4]), "k": np.ones((1, 3, 8), np.float32)}
    used = {name: value for name, value in weights.items() if f" {name})" in body}
    given = read_given(save_model(tmp_path / "m.onnx", body, (1, 3, 8), **used))
    assert len(given.output_shapes[0]) == 3
    assert pieces_of(given) == ()
