from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import ofa_edge.latency.onnx_operators as module
from ofa_edge.cost import operators
from ofa_edge.errors import ConfigError, ModelFileError
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering, amounts
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.space import Space
from ofa_edge.supernet.fold import fold_batch_norm
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


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([4, 3, 8, 8], "takes 4 samples a call"),
        ([1, 3, "height", 8], r"(?s)takes an input of shape.*--shape 1x3x224x8"),
    ],
)
def test_more_images_or_a_free_size_are_refused(tmp_path: Path, shape: list[Any], said: str) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    path = save(tmp_path / "n.onnx", [node], conv((8, 3, 3, 3)), shape, [shape[0], 8, shape[2], 8])
    with pytest.raises(ConfigError, match=said):
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


def chain(count: int, op: str = "Relu") -> list[Any]:
    names = ["x", *(f"v{number}" for number in range(count - 1)), "y"]
    return [helper.make_node(op, [names[i]], [names[i + 1]], name=f"n{i}") for i in range(count)]


def circle(kind: str) -> list[Any]:
    """Nodes that wait for each other, where a walk to the front of a value would go round for ever."""
    return {
        "itself": [helper.make_node("Add", ["x", "y"], ["y"], name="a")],
        "two": [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])],
        # x times a gate that goes round: what looked for a hard-swish never came to an end.
        "gate": [
            helper.make_node("Relu", ["b"], ["a"]),
            helper.make_node("Clip", ["a"], ["b"]),
            helper.make_node("Mul", ["x", "b"], ["y"], name="m"),
        ],
        "behind": [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node("Add", ["a", "c"], ["b"]),
            helper.make_node("Relu", ["b"], ["c"]),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
    }[kind]


@pytest.mark.parametrize("kind", ["itself", "two", "gate", "behind"])
def test_nodes_in_a_circle_are_named(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "net.onnx", circle(kind), {}, [1, 8], [1, 8])
    with pytest.raises(ConfigError, match="wait for each other in a circle"):
        read_operators(path)
    with pytest.raises(ModelFileError):
        inspect_model(path)


def test_nodes_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    steps = (("Exp", "x", "a"), ("Sqrt", "a", "b"), ("Abs", "b", "y"))
    nodes = [helper.make_node(op, [a], [b], name=b) for op, a, b in steps]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xaby"]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        graph = helper.make_graph([nodes[i] for i in order], "net", values[:1], values[3:], value_info=values[1:3])
        onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
        assert [item.op for item in read_operators(tmp_path / "net.onnx").operators] == ["Exp", "Sqrt", "Abs"]


def test_a_node_without_an_output_is_refused() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Nothing", ["x"], [])]
    with pytest.raises(ConfigError, match="no output"):
        module._ordered(helper.make_graph(nodes, "net", [], []), Path("net.onnx"))


def products(count: int) -> list[Any]:
    """A long chain of what gates are spelt with, and at each of its values a product that asks for a gate."""
    nodes = []
    for number in range(count // 2):
        before = f"g{number - 1}" if number else "x"
        nodes += [
            helper.make_node("Relu", [before], [f"g{number}"]),
            helper.make_node("Mul", [f"g{number}", "x"], ["y" if number == count // 2 - 1 else f"p{number}"]),
        ]
    return nodes


@pytest.mark.parametrize("make", [chain, products])
def test_the_work_grows_as_the_nodes_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    looked = [0]
    inputs = module._Reader.inputs

    def counted(self: Any, node: Any) -> list[str]:
        looked[0] += 1
        return inputs(self, node)

    monkeypatch.setattr(module._Reader, "inputs", counted)
    for count in (400, 40_000):
        looked[0] = 0
        path = save(tmp_path / f"{count}.onnx", make(count), {}, [1, 8], [1, 8])
        if make is chain:
            with pytest.raises(ConfigError, match="no operator"):
                read_operators(path)
        else:
            read_operators(path)
        assert looked[0] <= 12 * count


def test_a_file_of_many_nodes_is_inspected(tmp_path: Path) -> None:
    found = inspect_model(save(tmp_path / "net.onnx", products(40_000), {}, [1, 8], [1, 8]))
    assert found.operators == {"Relu": 20_000, "Mul": 20_000}


def test_operators_in_the_bodies_of_a_branch_are_not_none(tmp_path: Path) -> None:
    def body(op: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(op, TensorProto.FLOAT, [1, 8])
        return helper.make_graph([helper.make_node(op, ["x"], [op])], op, [], [made])

    yes = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    branch = helper.make_node("If", ["c"], ["y"], then_branch=body("Relu"), else_branch=body("Tanh"))
    path = save(tmp_path / "net.onnx", [yes, branch], {}, [1, 8], [1, 8])
    with pytest.raises(ConfigError, match="stand in the bodies of If"):
        read_operators(path)
