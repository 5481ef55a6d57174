"""Operators of every kind in an ONNX file: how many MACs they are, how they are priced, and what is doubted of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from ofa_edge.errors import ConfigError
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering, amounts
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import NamedOperator, OnnxNetwork, read_operators
from ofa_edge.latency.protocol import Z50, Z90

LOWERING = Lowering(4, 4, depthwise_taps=25)
COEFFICIENTS = Coefficients(np.full(len(TERMS), 0.1), 1e-4 * np.eye(len(TERMS)), 0.05, Z50, Z90, LOWERING)


def save(
    path: Path,
    nodes: list[Any],
    weights: dict[str, np.ndarray],
    shapes: dict[str, list[Any]],
    opset: int = 20,
    kind: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)
    return path


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def read(path: Path, node: Any, weights: dict[str, np.ndarray], shape: list[Any]) -> NamedOperator:
    (found,) = read_operators(save(path / "n.onnx", [node], weights, {"x": shape})).operators
    return found


def width(network: OnnxNetwork) -> float:
    """How many times the median the upper end of the 90 % interval is."""
    found = predict_network(network, COEFFICIENTS).interval
    return float(found.high90) / float(found.ms)


# -- MACs beside a plain count over what torch computes --


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x @ x.transpose(1, 2), -1) @ x


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (nn.Sequential(nn.Conv1d(8, 16, 5, padding=2), nn.Conv1d(16, 4, 3, 2)), (1, 8, 40)),
    "conv1d, depthwise": (nn.Conv1d(8, 8, 5, groups=8), (1, 8, 40)),
    "conv2d": (nn.Sequential(nn.Conv2d(3, 8, (3, 5), (2, 1)), nn.ReLU(), nn.Conv2d(8, 8, 1)), (1, 3, 20, 30)),
    "conv3d": (nn.Sequential(nn.Conv3d(2, 8, 3), nn.Conv3d(8, 8, (1, 3, 3), groups=8)), (1, 2, 6, 10, 12)),
    "dilated": (nn.Conv2d(4, 8, 3, dilation=2), (1, 4, 20, 20)),
    "grouped": (nn.Conv2d(32, 64, 3, groups=4, padding=1), (1, 32, 10, 10)),
    "multiplied": (nn.Conv2d(8, 24, 3, groups=8, padding=1), (1, 8, 10, 10)),
    "transposed": (nn.ConvTranspose2d(16, 8, 4, 2, 1), (1, 16, 9, 11)),
    "transposed, grouped": (nn.ConvTranspose2d(16, 8, 2, 2, groups=4), (1, 16, 9, 9)),
    "transposed 1d": (nn.ConvTranspose1d(16, 8, 4, 2), (1, 16, 9)),
    "dense": (nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 7)), (1, 9, 12)),
    "one vector": (nn.Linear(12, 20), (1, 12)),
    "attention": (Attention(), (1, 10, 16)),
}


def counted(net: nn.Module, shape: tuple[int, ...]) -> int:
    """MACs, by the shapes that torch sees while it computes: of modules, and of products of two tensors."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        nonlocal total
        if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
            total += inputs[0].numel() * int(np.prod(module.weight.shape[1:]))
        elif hasattr(module, "weight"):
            total += output.numel() * int(np.prod(module.weight.shape[1:]))

    for module in net.modules():
        module.register_forward_hook(hook)
    net(torch.zeros(shape))
    if isinstance(net, Attention):
        total += 2 * shape[1] ** 2 * shape[2]
    return total


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Exporting a model to ONNX with")  # the older exporter
@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_those_that_torch_computes(tmp_path: Path, name: str) -> None:
    net, shape = NETWORKS[name]
    path = tmp_path / "n.onnx"
    torch.onnx.export(net.eval(), (torch.zeros(shape),), path, dynamo=False, opset_version=17)
    found = read_operators(path)
    assert sum(item.operator.macs for item in found.operators) == counted(net, shape)
    assert found.unknown == ()


def test_a_recurrent_layer_uses_all_of_its_weights_in_every_step(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["t", "w", "r"], ["y"], hidden_size=16),
    ]
    weights = {"w": zeros(1, 48, 8), "r": zeros(1, 48, 16)}
    found = read_operators(save(tmp_path / "n.onnx", nodes, weights, {"x": [1, 8, 6]})).operators[1]
    assert found.operator.macs == 6 * (48 * 8 + 48 * 16)
    assert found.doubt > 0


# -- prices --


def test_one_dimension_costs_what_the_same_work_on_a_map_of_one_row_costs(tmp_path: Path) -> None:
    line = read(tmp_path, helper.make_node("Conv", ["x", "w"], ["y"]), {"w": zeros(64, 64, 3)}, [1, 64, 1000])
    row = read(tmp_path, helper.make_node("Conv", ["x", "w"], ["y"]), {"w": zeros(64, 64, 1, 3)}, [1, 64, 1, 1000])
    np.testing.assert_allclose(amounts([line.operator], LOWERING), amounts([row.operator], LOWERING))
    assert line.operator.macs == 64 * 64 * 3 * 998
    assert line.doubt > row.doubt == 0


def test_grouped_convolutions_have_a_price_and_a_doubt_of_their_own(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=8, pads=[1, 1, 1, 1])
    found = read(tmp_path, node, {"w": zeros(64, 8, 3, 3)}, [1, 64, 14, 14])
    taken = dict(zip(TERMS, amounts([found.operator], LOWERING), strict=True))
    assert taken["grouped"] == pytest.approx(found.operator.macs * 1e-6)
    assert taken["conv"] == taken["depthwise"] == 0
    assert found.doubt > 0


def test_a_transposed_convolution_is_priced_by_its_macs_and_widens_the_interval(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    widths = {}
    for op, channels in (("Conv", 32), ("ConvTranspose", 32)):
        node = helper.make_node(op, ["x", "w"], ["y"], kernel_shape=[2, 2])
        network = read_operators(save(path, [node], {"w": zeros(32, channels, 2, 2)}, {"x": [1, 32, 14, 14]}))
        taken = dict(zip(TERMS, amounts([network.operators[0].operator], LOWERING), strict=True))
        assert taken["conv"] == pytest.approx(network.operators[0].operator.macs * 1e-6)
        widths[op] = width(network)
    assert np.log(widths["ConvTranspose"]) > 5 * np.log(widths["Conv"])


def gelu(spelt: str) -> list[Any]:
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    gate = [
        helper.make_node("Div", ["c", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["a"]),
    ]
    ends = {
        "whole": [helper.make_node("Gelu", ["c"], ["y"])],
        "product halved": [helper.make_node("Mul", ["c", "a"], ["m"]), helper.make_node("Mul", ["m", "half"], ["y"])],
        "value halved": [helper.make_node("Mul", ["c", "half"], ["h"]), helper.make_node("Mul", ["h", "a"], ["y"])],
        "gate halved": [helper.make_node("Mul", ["a", "half"], ["h"]), helper.make_node("Mul", ["c", "h"], ["y"])],
    }
    return [conv, *(() if spelt == "whole" else gate), *ends[spelt]]


@pytest.mark.parametrize("spelt", ["product halved", "value halved", "gate halved"])
def test_a_gelu_costs_the_same_however_it_is_spelt(tmp_path: Path, spelt: str) -> None:
    constants = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    weights = {"w": zeros(8, 8, 1, 1), **{name: np.asarray(value) for name, value in constants.items()}}
    networks = [
        read_operators(save(tmp_path / "n.onnx", gelu(each), weights, {"x": [1, 8, 9, 9]})) for each in ("whole", spelt)
    ]
    whole, apart = (amounts((item.operator for item in each.operators), LOWERING) for each in networks)
    np.testing.assert_allclose(apart, whole)
    assert width(networks[0]) == pytest.approx(width(networks[1]))


def test_an_unknown_operator_is_priced_by_the_weights_that_it_takes(tmp_path: Path) -> None:
    small, large = (_mystery(tmp_path, shape) for shape in ((64, 1), (64, 576)))
    assert not small.known
    assert large.operator.macs == 576 * 64 * 14 * 14
    assert small.doubt == large.doubt > 1


def _mystery(folder: Path, weights: tuple[int, ...]) -> NamedOperator:
    node = helper.make_node("Mystery", ["x", "w"], ["y"], domain="some.where")
    graph = helper.make_graph(
        [node],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 14, 14])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 14, 14])],
        [numpy_helper.from_array(zeros(*weights), "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("some.where", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), folder / "n.onnx")
    return read_operators(folder / "n.onnx").operators[0]


# -- shapes --


def test_padding_that_is_computed_from_the_shape_needs_no_simplifier(tmp_path: Path) -> None:
    """As torch's older exporter writes "same" padding: the pads follow from the size of the map."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "two"], ["h"]),
        helper.make_node("Mod", ["h", "two"], ["odd"]),
        helper.make_node("Unsqueeze", ["odd", "zero"], ["o"]),
        helper.make_node("Concat", ["front", "o", "o"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["y"], strides=[2, 2]),
    ]
    weights = {"w": zeros(8, 3, 2, 2), "two": np.int64(2), "zero": np.array([0]), "front": np.zeros(6, np.int64)}
    weights = {name: np.asarray(value) for name, value in weights.items()}
    found = read_operators(save(tmp_path / "n.onnx", nodes, weights, {"x": [1, 3, 9, 9]}, opset=17))
    assert [item.op for item in found.operators] == ["Pad", "Conv"]
    assert found.operators[1].operator.macs == 8 * 3 * 4 * 25


def test_a_free_size_is_set_by_name_or_for_the_first_input(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = save(tmp_path / "n.onnx", [node], {"w": zeros(8, 3, 1, 1)}, {"x": [-1, 3, "h", "w_"]})
    for shapes in ({"x": (1, 3, 6, 5)}, {"": (1, 3, 6, 5)}):
        assert read_operators(path, shapes).operators[0].operator.macs == 24 * 30
    for shapes in ({"z": (1, 3, 6, 5)}, {"x": (1, 4, 6, 5)}, {"x": (1, 3, 6)}, {"x": (2, 3, 6, 5)}, {}):
        with pytest.raises(ConfigError) as caught:
            read_operators(path, shapes)
        assert "--shape" in caught.value.hint or "free size" in caught.value.why


def test_a_batch_of_minus_one_is_one_image(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = save(tmp_path / "n.onnx", [node], {"w": zeros(8, 3, 1, 1)}, {"x": [-1, 3, 6, 6]})
    assert read_operators(path).input_shape == (1, 3, 6, 6)


# -- precisions --


def test_a_file_says_in_which_numbers_it_computes(tmp_path: Path) -> None:
    scale = {"s": np.asarray(np.float32(0.1)), "z": np.asarray(np.int8(0))}
    quantised = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    weights = {"w": np.zeros((8, 3, 3, 3), np.int8), **scale}
    found = read_operators(save(tmp_path / "q.onnx", quantised, weights, {"x": [1, 3, 9, 9]}))
    assert found.stored == "int8"
    assert [(item.op, item.operator.macs) for item in found.operators] == [("QLinearConv", 8 * 27 * 49)]
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    half = {"w": np.zeros((8, 3, 3, 3), np.float16)}
    path = save(tmp_path / "h.onnx", [node], half, {"x": [1, 3, 9, 9]}, kind=TensorProto.FLOAT16)
    assert read_operators(path).stored == "fp16"
    assert (
        read_operators(save(tmp_path / "f.onnx", [node], {"w": zeros(8, 3, 3, 3)}, {"x": [1, 3, 9, 9]})).stored
        == "fp32"
    )
