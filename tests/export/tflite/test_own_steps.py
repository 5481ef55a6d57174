"""What is put side by side keeps steps of its own for its other readers."""

import numpy as np
import pytest
from onnx_text import save_model

from ofa_edge.export.tflite.convert import convert, operators
from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.int8_blame import blame, pair_of
from ofa_edge.export.tflite.mixed import mixed
from ofa_edge.export.tflite.pair import pair_up, scale_of
from ofa_edge.export.tflite.rewrites import FITTED
from ofa_edge.export.tflite.rewrites.own_steps import own_steps
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.verify.parity import compare

# A Ghost module: half of its channels are computed from the other half, here ten times as large.
GHOST = """
    x = Conv<pads=[1,1,1,1]>(input, wx) y = Conv<pads=[1,1,1,1], group=6>(x, wy)
    both = Concat<axis=1>(x, y) logits = Conv(both, we)
"""
SIZES = {"wx": (6, 3, 3, 3), "wy": (6, 1, 3, 3), "we": (2, 12, 1, 1)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    seen = np.random.default_rng(0).normal(size=(32, 3, 12, 12)).astype(np.float32)
    path = save_model(folder / "model.onnx", GHOST, (1, 3, 12, 12), **SIZES)
    convert(path, folder / "before.tflite", "int8", seen, FITTED)
    convert(path, folder / "whole.tflite", "int8", seen)
    pair = pair_of(folder / "before.tflite", path)
    return path, seen, (folder / "before.tflite").read_bytes(), pair.packed_twin()


def test_the_half_that_is_read_has_finer_steps(made):
    _, seen, before, twin = made
    after = fit(before, lambda: twin, seen, [own_steps])
    old, pair = pair_up(before, twin), pair_up(after, twin)
    assert [name for name in pair.names if name != "QUANTIZE"] == list(old.names)
    place = pair.names.index("QUANTIZE")
    assert pair.names[place + 1] == "CONCATENATION"
    op, joined = pair.graph.operators[place], pair.graph.operators[place + 1]
    own, shared = (scale_of(pair.graph.tensors[each]) for each in (op.inputs[0], op.outputs[0]))
    assert own[0] < 0.8 * shared[0]
    assert {scale_of(pair.graph.tensors[each]) for each in (*joined.inputs, *joined.outputs)} == {shared}
    other = np.random.default_rng(1).normal(size=(16, 3, 12, 12)).astype(np.float32)
    exact = answers_of(twin, other)
    assert compare(exact, answers_of(after, other)).snr_db > compare(exact, answers_of(before, other)).snr_db


def test_a_whole_conversion_has_it_and_can_be_blamed_and_mixed(made):
    path, seen, _, _ = made
    whole = path.with_name("whole.tflite")
    assert operators(whole).count("QUANTIZE") == 1
    pair = pair_of(whole, path)
    exact, given = (answers_of(each, seen[:4]) for each in (pair.packed_twin(), pair.packed()))
    assert (answers_of(mixed(pair, ()), seen[:4]) == given).all()
    everything = mixed(pair, range(len(pair.names)))
    assert (
        compare(exact, answers_of(everything, seen[:4])).snr_db
        > compare(exact, answers_of(pair.packed(), seen[:4])).snr_db
    )
    layers = {each.layer: each.operators for each in blame(pair, seen[:4]).layers}
    assert [kinds for kinds in layers.values() if "QUANTIZE" in kinds] == [("CONV_2D", "QUANTIZE")]


def test_what_only_a_concatenation_reads_stays(tmp_path):
    body = "x = Conv(input, wx) y = Conv(input, wy) both = Concat<axis=1>(x, y) logits = Conv(both, we)"
    seen = np.random.default_rng(0).normal(size=(8, 3, 6, 6)).astype(np.float32)
    path = save_model(tmp_path / "m.onnx", body, (1, 3, 6, 6), wx=(6, 3, 1, 1), wy=(6, 3, 1, 1), we=(2, 12, 1, 1))
    convert(path, tmp_path / "m.tflite", "int8", seen, FITTED)
    assert own_steps(pair_of(tmp_path / "m.tflite", path), seen) == []
