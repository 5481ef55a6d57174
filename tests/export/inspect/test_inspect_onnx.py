"""Inspection of ONNX files: what would not convert, and what would convert into something slow."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx_text import save_model
from tiny_net import SHAPE, build_net

from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect import inspect_model

SMALL = (1, 4, 9, 9)


def codes(found, severity="fault"):
    return [each.code for each in found.findings if each.severity == severity]


def saved(folder, body, shape=SMALL, **weights):
    return inspect_model(save_model(folder / "m.onnx", body, shape, **weights))


def test_our_own_file_is_clean(onnx_path):
    found = inspect_model(onnx_path)
    assert (codes(found), codes(found, "warning"), codes(found, "note")) == ([], [], ["depthwise-over-25-taps"])
    assert found.kind == "onnx"
    assert found.facts["opset"] == "17"
    assert found.facts["inputs"] == "input [1, 3, 27, 27]"
    assert len(found.findings[0].nodes) == 2


def test_an_unfolded_network(tmp_path):
    path = tmp_path / "m.onnx"
    with warnings.catch_warnings(action="ignore"):  # of the exporter's own age, and of what is left unfolded
        training = torch.onnx.TrainingMode.TRAINING
        torch.onnx.export(build_net(), (torch.zeros(SHAPE),), path, opset_version=13, dynamo=False, training=training)
    found = inspect_model(path)
    assert "batch-norm" in codes(found)
    assert codes(found, "warning") == ["decomposed-hard-swish", "old-opset"]
    hard_swish = next(each for each in found.findings if each.code == "decomposed-hard-swish")
    assert len(hard_swish.nodes) == 11


def test_operators_outside_the_map(tmp_path):
    found = saved(tmp_path, "a = Sin(input) b = Sin(a) p = GlobalAveragePool(b) logits = Flatten(p)")
    (one,) = found.faults
    assert (one.code, one.nodes) == ("unknown-operator", ("Sin_0", "Sin_1"))
    assert one.what.startswith("Sin is outside the map")


def test_operators_of_another_domain(tmp_path):
    node = helper.make_node("Magic", ["input"], ["logits"], "m", domain="their.own")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, SMALL)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, SMALL)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("their.own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "m.onnx")
    found = inspect_model(tmp_path / "m.onnx")
    assert found.operators == {"their.own.Magic": 1}
    assert codes(found) == ["unknown-operator"]


def test_dynamic_shapes_and_several_inputs(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", ("batch", 4, 9, 9))
    found = inspect_model(path)
    assert codes(found) == ["dynamic-shape"]
    assert found.facts["inputs"] == "input [batch, 4, 9, 9]"
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1]))
    onnx.save(model, path)
    assert codes(inspect_model(path)) == ["several-inputs", "dynamic-shape"]


@pytest.mark.parametrize(
    ("attributes", "weight", "fault", "note"),
    [
        ("group=4, pads=[4,4,4,4]", (4, 1, 9, 9), [], ["depthwise-over-25-taps"]),
        ("group=4, pads=[2,2,3,3]", (4, 1, 6, 6), ["depthwise-not-splittable"], ["even-kernel"]),
        ("group=4, pads=[6,6,6,6], dilations=[2,2]", (4, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[0,0,0,0]", (4, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[3,3,3,3]", (8, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[1,1,2,2]", (4, 1, 4, 4), [], ["even-kernel"]),
        ("group=4, pads=[2,2,2,2]", (4, 1, 5, 5), [], []),
        ("group=1, pads=[3,3,3,3]", (4, 4, 7, 7), [], []),
    ],
)
def test_depthwise_kernels(tmp_path, attributes, weight, fault, note):
    found = saved(tmp_path, f"logits = Conv<{attributes}>(input, w)", (1, 4, 20, 20), w=weight)
    assert (codes(found), codes(found, "note")) == (fault, note)


def test_opsets(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", SMALL)
    model = onnx.load(path)
    for version, expected in ((12, ["old-opset"]), (17, []), (19, ["new-opset"])):
        model.opset_import[0].version = version
        onnx.save(model, path)
        assert [each.code for each in inspect_model(path).findings] == expected


def test_damaged_files(onnx_path, tmp_path):
    path = tmp_path / "m.onnx"
    for content in (onnx_path.read_bytes()[:5000], b"not a model at all", bytes(300)):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"m\.onnx is not a valid ONNX file"):
            inspect_model(path)


def test_weights_in_a_file_that_is_missing(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Add(input, w)", SMALL, w=np.ones(SMALL, np.float32))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert codes(inspect_model(path)) == []
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelFileError, match=r"weights\.bin"):
        inspect_model(path)
