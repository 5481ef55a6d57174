"""Two builds held against each other: their ONNX files' operators, and the profiles of both."""

import json

import pytest
from manifests import facts, manifest
from onnx import TensorProto, helper, save

from ofa_edge.builds import MODEL, Build
from ofa_edge.errors import ConfigError
from ofa_edge.records.manifest import FileRecord
from ofa_edge.workflows.diff import diff, operators_of


def write_network(path, kernel: int, group: int = 1) -> None:
    """Conv, Relu."""
    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, (4, 4 // group, kernel, kernel), [0.1] * (16 // group * kernel**2)
    )
    pads = [kernel // 2] * 4
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[kernel, kernel], pads=pads, group=group),
        helper.make_node("Relu", ["y"], ["z"], "relu"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", 1, (1, 4, 8, 8))], [value("z", 1, (1, 4, 8, 8))], initializer=[weights]
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two builds whose networks have another kernel; their folders hold no more than what is read here."""
    for name, kernel in (("a", 3), ("b", 5)):
        (tmp_path / name).mkdir()
        write_network(tmp_path / name / MODEL, kernel)
    model = FileRecord(path=MODEL, role="onnx", sha256="a" * 64, size=1)
    made = manifest(outputs=(*facts()["outputs"], model))
    monkeypatch.setattr(Build, "open", classmethod(lambda cls, folder: cls(folder, made)))
    return tmp_path / "a", tmp_path / "b"


def profile(path, **ms: float):
    items = [{"name": name, "calls": 1, "ms": each} for name, each in ms.items()]
    path.write_text(json.dumps({"functions": {"items": items}}))
    return path


def test_operators_are_told_with_kernels_groups_and_shapes(tmp_path):
    write_network(tmp_path / "m.onnx", 3, group=4)
    assert [(each.what, each.shapes) for each in operators_of(tmp_path / "m.onnx")] == [
        ("Conv 3x3 grouped", "1x4x8x8"),
        ("Relu", "1x4x8x8"),
    ]


def test_what_moved(folders, tmp_path):
    found = diff(*folders, (profile(tmp_path / "a.json", conv=1.0), profile(tmp_path / "b.json", conv=2.0)))
    assert [item.kind for item in found.operators] == ["changed", "same"]
    assert found.operators[0].after.what == "Conv 5x5"
    assert [(item.before_ms, item.after_ms) for item in found.times] == [(1.0, 2.0)]
    assert json.loads(json.dumps(found.to_json()))["operators"][1]["kind"] == "same"


def test_without_profiles_there_are_no_times(folders):
    assert diff(*folders).times == ()


def test_a_file_that_is_no_profile(folders, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text('{"functions": {"reason": "no perf"}}')
    with pytest.raises(ConfigError, match="holds no times"):
        diff(*folders, (bad, bad))
