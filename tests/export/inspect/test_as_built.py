"""An ONNX file of free sizes, inspected: as it stands no fault for what only computes sizes; with `shape` as built."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx_text import save_model
from torch import nn

from ofa_edge.errors import ConfigError, ConversionError
from ofa_edge.export.inspect import as_built, inspect_model
from ofa_edge.export.inspect.onnx_file import inspect_onnx
from ofa_edge.export.onnx.load import load_model
from ofa_edge.export.onnx.sizes import by_values
from ofa_edge.export.tflite.trial import Refusal, Trial

FREE = {"x": {0: "batch", 2: "height", 3: "width"}}


class Head(nn.Module):
    """A detector's head, which makes its places of the sizes of its maps."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1))

    def forward(self, x):
        y = self.conv(x)
        _, channels, height, width = y.shape
        down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = torch.stack((across, down)).float().reshape(1, 2, height * width)
        wide = nn.functional.interpolate(y, size=(height * 2, width * 2)).mean((2, 3))
        flat = y.view(1, channels, height * width)
        return torch.cat((flat[:, :2] + places, flat[:, 2:]), 1), wide


class Reader(nn.Module):
    """A line's letters, read by an LSTM of as many steps as the picture is wide."""

    def __init__(self):
        super().__init__()
        self.conv, self.lstm = nn.Conv2d(1, 8, 3, 2, 1), nn.LSTM(8 * 4, 5, bidirectional=True)

    def forward(self, x):
        y = self.conv(x)
        return self.lstm(y.permute(3, 0, 1, 2).reshape(y.shape[3], y.shape[0], 32))[0]


def exported(path, net, shape, free=FREE):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(shape),), str(path), dynamo=False, input_names=["x"], dynamic_axes=free
        )
    return path


def two_inputs(path, state, first="batch", **others):
    """The sum of two inputs; others are not read."""
    save_model(path, "a = Add(input, state) logits = Flatten(a)", (first, 4, "h", 9))
    model = onnx.load(path)
    for name, shape in {"state": state, **others}.items():
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "k"]))
    onnx.save(model, path)
    return path


def only(found, code):
    (one,) = [each for each in found.findings if each.code == code]
    return one


def ruled(path, trial=Trial(), **options):  # noqa: B008 (frozen)
    return inspect_onnx(path, ask=lambda _: (trial,), **options)


@pytest.mark.parametrize(
    ("net", "shape", "free", "example", "given"),
    [
        (Head(), (1, 3, 32, 32), FREE, "1x3x224x224", "1x3x32x48"),
        (Reader(), (1, 1, 8, 16), {"x": {3: "width"}}, "1x1x8x224", "x=1x1x8x24"),
    ],
    ids=["head", "reader"],
)
def test_free_sizes_are_one_finding_and_given_ones_leave_none(tmp_path, net, shape, free, example, given):
    path = exported(tmp_path / "a net.onnx", net, shape, free)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {"Shape", "Range", "ConstantOfShape", "LSTM"} & operators
    found = inspect_model(path)
    assert [(each.code, each.severity) for each in found.findings] == [
        ("dynamic-shape", "warning"),
        ("not-tried", "warning"),
    ]
    assert only(found, "dynamic-shape").fix == f"ofa-edge inspect '{path}' --shape {example}"
    count, of = (int(word) for word in only(found, "not-tried").what.split() if word.isdigit())
    assert 0 < count <= of == len(onnx.load(path).graph.node)
    assert "as built" not in found.facts
    sized = inspect_model(path, shape=given)
    assert sized.findings == ()
    assert (sized.operators, sized.facts["inputs"]) == (found.operators, found.facts["inputs"])
    assert sized.facts["as built"].split()[1].startswith("operator")
    assert "input fixed to [1, " in sized.facts["as built"]
    assert "Shape" not in sized.facts["as built"]


def test_what_a_build_folds_is_judged_folded(tmp_path):
    path = exported(tmp_path / "m.onnx", Head(), (1, 3, 32, 32))
    model = onnx.load(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.output[0] = "c"
    model.graph.node.insert(
        1, helper.make_node("BatchNormalization", ["c", *["s"] * 4], [model.graph.node[1].input[0]])
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(8, np.float32), "s"))
    onnx.save(model, path)
    assert ruled(path, shape="1x3x32x32").findings == ()


def test_names_are_those_of_the_file_or_its_numbers(tmp_path):
    body = "n = Shape(input) z = Reshape(input, n) r = Relu(z) logits = BatchNormalization(r, s, s, s, s)"
    path = save_model(tmp_path / "m.onnx", body, ("batch", 4, 9, 9), s=np.ones(4, np.float32))
    assert only(ruled(path), "batch-norm").nodes == ("BatchNormalization_3",)
    model = onnx.load(path)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, path)
    found = ruled(path)
    assert only(found, "batch-norm").nodes == ("#3",)
    assert found.facts["as built"] == "2 operators: Relu 1, BatchNormalization 1; input fixed to [1, 4, 9, 9]"


def test_a_file_that_is_fixed_is_not_said_to_be_changed(tmp_path):
    found = ruled(save_model(tmp_path / "m.onnx", "a = Relu(input) logits = Flatten(a)", (1, 4, 9, 9)))
    assert found.facts["as built"] in ("2 operators: Relu 1, Flatten 1", "2 operators: Relu 1, Reshape 1")


def loop(body_op):
    one, yes = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("c", 9)))
    state = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("v", "w")]
    nodes = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node(body_op, ["v"], ["w"])]
    out = helper.make_tensor_value_info("d", TensorProto.BOOL, [])
    return helper.make_graph(nodes, "body", [one, yes, state[0]], [out, state[1]])


def test_what_no_size_mends_is_a_fault_still(tmp_path):
    path = save_model(tmp_path / "m.onnx", "n = Shape(input) logits = Reshape(input, n)", ("batch", 4, "height", 9))
    model = onnx.load(path)
    count = helper.make_node("Constant", [], ["count"], value=helper.make_tensor("t", TensorProto.INT64, [], [3]))
    looped = helper.make_node("Loop", ["count", "", "logits"], ["late"], "looped", body=loop("Relu"))
    where = helper.make_node("NonZero", ["input"], ["where"], "where")
    twice = helper.make_node("Loop", ["count", "", "n"], ["sizes"], "twice", body=loop("Neg"))
    model.graph.node.extend([count, looped, where, twice])
    for name, kind, shape in (("late", 1, [*"abcd"]), ("where", 7, [4, "e"]), ("sizes", 7, [4])):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    onnx.save(model, path)
    assert by_values(model) == {"input", "logits", "late", "where"}
    found = inspect_model(path)
    assert {name for each in found.faults for name in each.nodes} == {"looped", "where"}


def test_what_waits_for_sizes_is_no_fault_of_the_file_and_one_of_what_is_built(tmp_path):
    waits = Trial((Refusal("n", "Split", "the size is not known", "sizes", mendable=True),), ("d",))
    free = save_model(tmp_path / "free.onnx", "logits = Flatten(input)", ("batch", 4, None, 9))
    fixed = save_model(tmp_path / "fixed.onnx", "logits = Flatten(input)", (1, 4, 9, 9))
    assert ruled(free, waits).faults == ()
    assert "2 of 1" in only(ruled(free, waits), "not-tried").what
    assert [each.nodes for each in ruled(fixed, waits).faults] == [("n",)]


def test_several_inputs_each_in_the_command(tmp_path):
    path = two_inputs(tmp_path / "m.onnx", [1, "batch", None, 9], idle=["n"])
    found = only(ruled(path), "dynamic-shape")
    assert found.fix.endswith("m.onnx --shape input=1x4x224x9 --shape state=1x1x224x9")
    assert found.nodes == ("input [batch, 4, h, 9]", "state [1, batch, ?, 9]")
    assert ruled(path, shape="input=1x4x8x9,state=1x1x8x9").findings == ()
    with pytest.raises(ConfigError, match="leaves sizes of its input free"):
        ruled(path, shape="input=1x4x8x9")


def test_what_no_build_takes_is_said_before_a_size_is_chosen(tmp_path):
    path = two_inputs(tmp_path / "m.onnx", [2, 1, "h", 9], first=2)
    assert [each.code for each in ruled(path).faults] == ["interface"]
    assert [each.code for each in ruled(path, shape="input=2x4x8x9,state=2x1x8x9").faults] == ["interface"]


def test_shapes_that_do_not_fit_are_the_users_mistake(tmp_path, tflite_paths):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", ("batch", 4, "h", 9))
    for shape in ("1x3x8x9", "1x4x8", "1x4x0x9", "other=1x4x8x9"):
        with pytest.raises(ConfigError):
            ruled(path, shape=shape)
    with pytest.raises(ConfigError, match="--shape is for an ONNX file"):
        inspect_model(tflite_paths["fp32"], shape="1x3x8x8")


def test_what_onnx_runtime_does_not_run_is_judged_as_it_stands(tmp_path):
    node = helper.make_node("Magic", ["input"], ["logits"], "m", domain="their.own")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4, 9, 9)) for name in ("input", "logits")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("their.own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    found = inspect_model(tmp_path / "m.onnx")
    assert [each.code for each in found.faults] == ["not-prepared", "unknown-operator"]
    assert "ONNX Runtime does not run m.onnx" in only(found, "not-prepared").what
    assert found.facts["as built"].startswith("not prepared: ONNX Runtime does not run")


def test_what_asks_for_too_much_memory_is_judged_as_it_stands(tmp_path):
    body = "n = Shape(input) m = Mul(n, k) z = ConstantOfShape(m) s = ReduceSum<keepdims=0>(z) logits = Add(input, s)"
    path = save_model(tmp_path / "m.onnx", body, (1, 4, 9, 9), k=np.array([60]))  # 17 GB of zeros
    assert only(ruled(path), "not-prepared").severity in ("fault", "warning")


def test_a_large_file_is_not_read_whole(tmp_path, monkeypatch):
    path = save_model(tmp_path / "m.onnx", "logits = Add(input, w)", (1, 4, 9, 9), w=(1, 4, 9, 9))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    monkeypatch.setattr(as_built, "_MOST", 1296)
    monkeypatch.setattr(as_built, "_run", None)
    found = only(ruled(path), "not-prepared")
    assert (found.severity, "is not read whole" in found.what) == ("warning", True)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("import time; time.sleep(60)", "took more than"),
        ("import os; os.abort()", "signal 6"),
        ("raise ValueError('odd')", "ValueError: odd"),
    ],
)
def test_a_worker_that_fails_is_no_fault_of_the_file(tmp_path, monkeypatch, work, said):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", (1, 4, 9, 9))
    monkeypatch.setattr(as_built, "_TIMEOUT_S", 2)
    found = as_built.as_built(path, load_model(path), None, tmp_path, worker=("-c", work))
    assert [(each.code, each.severity) for each in found.findings] == [("not-prepared", "warning")]
    assert said in found.said
    assert found.path is None


def test_a_worker_that_somebody_ends_is_no_answer(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", (1, 4, 9, 9))
    work = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    with pytest.raises(ConversionError, match="was ended"):
        as_built.as_built(path, load_model(path), None, tmp_path, worker=("-c", work))


def test_a_profile_has_the_sizes_that_were_given(tmp_path):
    body = "a = Conv(input, w) logits = Flatten(a)"
    path = save_model(tmp_path / "m.onnx", body, ("batch", 4, "h", "w"), w=(4, 4, 3, 3))
    found = ruled(path, profile=True, shape="1x4x9x9")  # of one pixel nothing would be left to convolve
    assert set(found.profile) == {"Conv_0", "Flatten_1"}


def test_a_name_of_a_size_that_is_no_text(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", ("batch", 4, "height", 9))
    path.write_bytes(path.read_bytes().replace(b"height", b"h\xffight"))
    assert "4, b'h" in only(ruled(path), "dynamic-shape").nodes[0]
