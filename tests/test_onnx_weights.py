"""The weights of a network are the same numbers in whichever of ONNX's forms a file has them."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from ofa_edge.export.inspect.onnx_file import inspect_onnx
from ofa_edge.export.onnx.given import read_given
from ofa_edge.export.onnx.prepare import prepare
from ofa_edge.export.tflite.trial import Trial
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering
from ofa_edge.latency.network import predict_network
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.onnx_weights import count_weights, lift_constants

FORMS = ("initializers", "constants", "both", "copies", "halves")
COEFFICIENTS = Coefficients(
    np.full(len(TERMS), 0.1), 0.01 * np.eye(len(TERMS)), 0.1, Z50, Z90, Lowering(4, 4, depthwise_taps=25)
)


class Net(nn.Module):
    """Weights of a convolution, a recurrent layer, a table and a head; and numbers that are no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lstm, self.head = nn.Conv2d(3, 24, 5, padding=2), nn.LSTM(24, 24), nn.Linear(24, 7)
        self.slope = nn.PReLU(24)
        self.places = nn.Parameter(torch.randn(16, 1, 24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.interpolate(self.slope(self.conv(x)).clamp(-2.0, 6.0), scale_factor=2.0)
        x = x.mean(2).permute(2, 0, 1) * 0.7 + self.places
        return self.head(self.lstm(x)[0][-1])


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().eval()


@pytest.fixture(scope="module")
def forms(net: Net, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("forms")
    plain = folder / "initializers.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 3, 8, 8),), str(plain), dynamo=False, opset_version=17)
    paths = {"initializers": plain}
    for form in FORMS[1:]:
        model = onnx.load(plain)
        change(model.graph, form)
        paths[form] = folder / f"{form}.onnx"
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, paths[form])
    return paths


def change(graph: onnx.GraphProto, form: str) -> None:
    """Put a network's weights into another form, in place."""
    front, kept = [], []
    for number, tensor in enumerate(graph.initializer):
        floats = tensor.data_type == TensorProto.FLOAT
        if form == "both" and number % 2:
            kept.append(tensor)
        elif form == "copies":
            front += [
                helper.make_node("Constant", [], [f"{tensor.name}/c"], f"c{number}", value=tensor),
                helper.make_node("Identity", [f"{tensor.name}/c"], [tensor.name], f"i{number}"),
            ]
        elif form == "halves" and floats:
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}/h")
            kept.append(half)
            front.append(helper.make_node("Cast", [half.name], [tensor.name], f"h{number}", to=TensorProto.FLOAT))
        else:
            front.append(helper.make_node("Constant", [], [tensor.name], f"c{number}", value=tensor))
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend([*front, *nodes])


def numbers(path: Path) -> int:
    """An independent count: arrays of floats as onnx reads them, each under its own digest once; no single numbers."""
    graph = onnx.load(path).graph
    tensors = [*graph.initializer, *(a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute)]
    arrays = [numpy_helper.to_array(each) for each in tensors]
    return sum(each.size for each in arrays if each.dtype.kind == "f" and each.ndim)


@pytest.mark.parametrize("form", FORMS)
def test_as_many_as_torch_has(net: Net, forms: dict[str, Path], form: str, tmp_path: Path) -> None:
    wanted = sum(each.numel() for each in net.parameters())
    others = 4 + 24  # the resize's scales, the state that the sequence begins in: they say how an operator works
    assert numbers(forms[form]) == wanted + others
    assert count_weights(onnx.load(forms[form])) == wanted + 24, "here that state is still copied for each sample"
    prepare(read_given(forms[form]), tmp_path / "out.onnx")
    prepared = onnx.load(tmp_path / "out.onnx")
    assert count_weights(prepared) == wanted
    assert not {"Constant", "Identity", "Cast"} & {node.op_type for node in prepared.graph.node}


def test_all_forms_cost_the_same(forms: dict[str, Path]) -> None:
    plain = read_operators(forms["initializers"])
    costs = [item.operator for item in plain.operators]
    macs = {op: sum(i.operator.macs for i in plain.operators if i.op == op) for op in ("Conv", "LSTM", "Gemm")}
    assert macs == {"Conv": 24 * 3 * 25 * 64, "LSTM": 16 * 96 * (24 + 24), "Gemm": 24 * 7}
    for form in FORMS[1:]:
        found = read_operators(forms[form])
        assert [item.operator for item in found.operators] == costs, form
        assert found.stored == ("fp16" if form == "halves" else "fp32")
        assert predict_network(found, COEFFICIENTS).interval == predict_network(plain, COEFFICIENTS).interval


def test_halves_in_constants_are_halves(forms: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(forms["halves"])
    change(model.graph, "constants")
    onnx.save(model, tmp_path / "net.onnx")
    assert read_operators(tmp_path / "net.onnx").stored == "fp16"


def test_inspect_weighs_all_forms_alike(forms: dict[str, Path]) -> None:
    def weights(form: str) -> str:
        return inspect_onnx(forms[form], ask=lambda _: (Trial(),)).facts["weights"]

    assert weights("constants") == weights("both") == weights("copies") == weights("initializers")


def test_lifting_leaves_the_answers_and_what_is_no_number(forms: dict[str, Path]) -> None:
    model = onnx.load(forms["constants"])
    words = helper.make_node("Constant", [], ["words"], value_strings=[b"a"])
    model.graph.node.insert(0, words)
    before = onnx.reference.ReferenceEvaluator(onnx.load(forms["initializers"]))
    lift_constants(model)
    assert [node.output[0] for node in model.graph.node if node.op_type == "Constant"] == ["words"]
    feed = {before.input_names[0]: np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    got = onnx.reference.ReferenceEvaluator(model).run(None, feed)
    np.testing.assert_array_equal(got[0], before.run(None, feed)[0])


def test_constants_of_one_attribute_and_of_an_old_file_are_lifted() -> None:
    nodes = [
        helper.make_node("Constant", [], ["a"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["b"], value_float=3.0),
        helper.make_node("Constant", [], ["c"], value_ints=[1, 2]),
        helper.make_node("Constant", [], ["d"], value_int=4),
        helper.make_node("Add", ["x", "a"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]), ir_version=3)
    model.opset_import[0].version = 17
    assert count_weights(model) == 2
    lift_constants(model)
    onnx.checker.check_model(model, full_check=True)
    found = {each.name: numpy_helper.to_array(each).tolist() for each in model.graph.initializer}
    assert found == {"a": [1.0, 2.0], "b": 3.0, "c": [1, 2], "d": 4}
    assert count_weights(model) == 2


def test_copies_that_go_round_end() -> None:
    nodes = [helper.make_node("Identity", ["b"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    value = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])
    assert count_weights(helper.make_model(helper.make_graph(nodes, "g", [], [value]))) == 0
