"""The conversion, against ONNX Runtime, and what it refuses."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from ofa_edge_ncnn import Ncnn
from ofa_edge_ncnn.convert import convert
from onnx import TensorProto, helper

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.verify.parity import compare


def small_network(path: Path, kind: str = "Relu") -> Path:
    """A convolution, an operator, a pool and a linear layer, all with random weights."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(0, 0.3, (4, 3, 3, 3)), "b": rng.normal(0, 0.1, 4), "g": rng.normal(0, 0.5, (5, 4))}
    nodes = [
        helper.make_node("Conv", ["input", "w", "b"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node(kind, ["a"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["logits"], transB=1),
    ]
    values = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])
    exit_ = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 5])
    graph = helper.make_graph(nodes, "small", [entry], [exit_], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("half", "least"), [(False, 90), (True, 50)])
def test_it_answers_as_onnx_runtime_does(tmp_path, half, least) -> None:
    network, out = small_network(tmp_path / "net.onnx"), tmp_path / "model.ncnn.zip"
    convert(network, (1, 3, 8, 8), out, half=half)
    images = np.random.default_rng(1).normal(size=(16, 3, 8, 8)).astype(np.float32)
    wanted = run_onnx(network, images)
    assert compare(wanted, Ncnn().answers(out, images)).snr_db > least
    assert Ncnn().operators(out)["Convolution"] == 1


def test_the_same_network_gives_the_same_bytes(tmp_path) -> None:
    network = small_network(tmp_path / "net.onnx")
    for name in ("a", "b"):
        convert(network, (1, 3, 8, 8), tmp_path / name, half=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_operator_that_ncnn_lacks_is_named(tmp_path) -> None:
    with pytest.raises(ConversionError, match=r"IsNaN|isnan|pnnx did not convert"):
        convert(small_network(tmp_path / "net.onnx", "IsNaN"), (1, 3, 8, 8), tmp_path / "out", half=False)
    assert not (tmp_path / "out").exists()


def test_what_is_no_network_is_an_error(tmp_path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no model")
    with pytest.raises(ConversionError, match="pnnx did not convert"):
        convert(tmp_path / "net.onnx", (1, 3, 8, 8), tmp_path / "out", half=False)
