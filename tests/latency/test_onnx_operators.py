from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from ofa_edge.cost import operators
from ofa_edge.errors import ConfigError
from ofa_edge.export.fold import fold_batch_norm
from ofa_edge.export.onnx import export_onnx
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering, amounts
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.space import Space
from ofa_edge.supernet.network import Supernet

LOWERING = Lowering(4, 4, depthwise_taps=25)
COEFFICIENTS = Coefficients(np.full(len(TERMS), 0.1), 0.01 * np.eye(len(TERMS)), 0.1, Z50, Z90, LOWERING)


def save(path: Path, nodes: list[Any], weights: dict[str, np.ndarray], shape: list[Any], out: list[Any]) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def conv(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"w": np.zeros(shape, np.float32)}


@pytest.mark.parametrize("family", ["ofa_mobilenetv3", "ofa_proxyless"])
def test_an_exported_subnet_costs_what_the_space_says(tmp_path: Path, family: Any) -> None:
    space = Space.of(family, "tiny", width_mult=0.25, num_classes=10, resolutions=(32, 64))
    subnet = space.uniform(5, 4, 2, 64)
    export_onnx(_fixed(space, subnet), (1, 3, 64, 64), tmp_path / "net.onnx")
    found = read_operators(tmp_path / "net.onnx")
    assert found.unknown == ()
    from_file = amounts((item.operator for item in found.operators), LOWERING)
    from_space = amounts(operators(space, subnet), LOWERING)
    np.testing.assert_allclose(from_file, from_space, rtol=1e-9)


def _fixed(space: Space, subnet: Any) -> torch.nn.Module:
    net = Supernet(space).eval().extract(subnet)
    net.calibrated = True
    return fold_batch_norm(net)


def test_kernels_maps_and_groups_need_not_be_square(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[1, 2, 1, 2], name="c")
    found = read_operators(save(tmp_path / "n.onnx", [node], conv((16, 2, 3, 5)), [1, 8, 10, 20], [1, 16, 10, 20]))
    (item,) = found.operators
    assert (item.name, item.operator.kind) == ("c", "conv")
    assert item.operator.macs == 3 * 5 * 2 * 16 * 10 * 20
    assert (item.operator.in_elements, item.operator.out_elements) == (8 * 200, 16 * 200)


def test_plain_activations_are_free_and_a_spelt_out_hard_swish_is_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a", "three"], ["b"]),
        helper.make_node("Clip", ["b", "zero", "six"], ["c"]),
        helper.make_node("Div", ["c", "six"], ["d"]),
        helper.make_node("Mul", ["a", "d"], ["e"]),
        helper.make_node("Relu", ["e"], ["y"]),
    ]
    weights = {**conv((8, 3, 3, 3)), **{n: np.float32(v) for n, v in (("zero", 0), ("three", 3), ("six", 6))}}
    weights = {name: np.asarray(value) for name, value in weights.items()}
    found = read_operators(save(tmp_path / "n.onnx", nodes, weights, [1, 3, 8, 8], [1, 8, 8, 8]))
    assert [item.operator.kind for item in found.operators] == ["conv", "h_swish"]


def test_a_free_batch_size_is_one_image(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    found = read_operators(
        save(tmp_path / "n.onnx", [node], conv((8, 3, 3, 3)), ["batch", 3, 8, 8], ["batch", 8, 8, 8])
    )
    assert found.operators[0].operator.macs == 9 * 3 * 8 * 64


@pytest.mark.parametrize("shape", [[4, 3, 8, 8], [1, 3, "height", 8]])
def test_more_images_or_a_free_size_are_refused(tmp_path: Path, shape: list[Any]) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    path = save(tmp_path / "n.onnx", [node], conv((8, 3, 3, 3)), shape, [shape[0], 8, shape[2], 8])
    with pytest.raises(ConfigError, match="takes an input of shape"):
        read_operators(path)


@pytest.mark.parametrize("content", [b"", b"not onnx", b"\x00\xff" * 40])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match=r"n\.onnx"):
        read_operators(tmp_path / "n.onnx")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_operators(tmp_path / "none.onnx")


def test_unknown_operators_are_named_and_widen_the_interval(tmp_path: Path) -> None:
    first = helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    widths = {}
    for op in ("Sin", "Sigmoid"):
        nodes = [first, helper.make_node(op, ["a"], ["y"])]
        network = read_operators(save(tmp_path / f"{op}.onnx", nodes, conv((8, 3, 3, 3)), [1, 3, 8, 8], [1, 8, 8, 8]))
        found = predict_network(network, COEFFICIENTS)
        assert found.unknown == (("Sin",) if op == "Sin" else ())
        widths[op] = float(found.interval.high90) / float(found.interval.low90)
        assert sum(part.ms for part in found.parts) == pytest.approx(float(found.interval.ms))
        assert sum(part.share for part in found.parts) == pytest.approx(1.0)
    assert widths["Sin"] > 1.1 * widths["Sigmoid"]
