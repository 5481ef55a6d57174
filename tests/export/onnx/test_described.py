"""An ONNX file says its interface in its metadata, once, and keeps the rest."""

import onnx
from onnx import TensorProto, helper

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.onnx.described import describe, described
from ofa_edge.network import Interface


def test_the_interface_is_written_once_beside_other_entries(tmp_path):
    file = tmp_path / "model.onnx"
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", sides[:1], sides[1:]))
    model.metadata_props.add(key="author", value="me")
    onnx.save(model, file)
    assert described(file) is None
    for labels in (("a", "b"), ("é", "“c”")):
        said = Interface.of_classifier(Preprocessing(8, 1, (0.0,), (1.0,)), labels).record("model.onnx")
        describe(file, said)
        assert described(file) == said
    assert [each.key for each in onnx.load(file).metadata_props] == ["author", "ofa_edge.interface"]
