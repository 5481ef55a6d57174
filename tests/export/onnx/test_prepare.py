"""A given file as the one that everything is made from: the same answers, whatever stood in the way."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_text import save_model

from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.given import read_given
from ofa_edge.export.onnx.given_inputs import GivenInput, parse_shape
from ofa_edge.export.onnx.prepare import prepare
from ofa_edge.export.onnx.run import run_onnx


def both(path, tmp_path, count=3):
    """The file's answers and those of the prepared one, to the same inputs, and what was changed."""
    given = read_given(path)
    changes = prepare(given, tmp_path / "ready.onnx")
    inputs = np.random.default_rng(0).normal(size=(count, *given.shape[1:])).astype(np.float32)
    onnx.checker.check_model(tmp_path / "ready.onnx", full_check=True)
    return given.answers(inputs), run_onnx(tmp_path / "ready.onnx", inputs), changes


def test_float64_becomes_float32(tmp_path):
    weights = helper.make_tensor("w", TensorProto.DOUBLE, (5, 4), np.random.default_rng(1).normal(size=20))
    ends = [
        helper.make_tensor_value_info(*each)
        for each in (("x", TensorProto.DOUBLE, ("N", 5)), ("y", TensorProto.DOUBLE, None))
    ]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [ends[0]], [ends[1]], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "d.onnx")
    given, ready, changes = both(tmp_path / "d.onnx", tmp_path)
    np.testing.assert_allclose(ready, given, rtol=1e-6, atol=1e-6)
    assert "float64 made float32" in changes


def test_an_old_softmax_means_what_it_meant(tmp_path):
    """Before opset 13 it flattened what is behind its axis; a reader of today's form would not."""
    path = save_model(tmp_path / "old.onnx", "logits = Softmax<axis=1>(input)", (1, 3, 4, 5), opset=11)
    given, ready, changes = both(path, tmp_path)
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(ready, given, rtol=1e-5, atol=1e-7)
    assert "opset 11 raised to 17" in changes


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    path = save_model(tmp_path / "net.onnx", "a = Conv(input, w) logits = Relu(a)", (1, 3, 8, 8), w=(4, 3, 3, 3))
    given = read_given(path)
    for name in ("one", "two"):
        prepare(given, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_single_whole_number_goes_in_as_an_array():
    given = GivenInput("rate", (), "int64").own(np.float32(16000).reshape(()))
    assert (type(given), given.dtype, given.shape, given.item()) == (np.ndarray, np.int64, (), 16000)


@pytest.mark.parametrize("text", ["", "x", "1x", "1x0x3", "1x-3", "1 2", "one", "1x3x99999999999"])
def test_what_is_no_shape(text):
    with pytest.raises(ConfigError, match="bad shape"):
        parse_shape(text)


def test_shapes():
    assert parse_shape("1x3x224x224") == parse_shape("1, 3, 224, 224") == (1, 3, 224, 224)
