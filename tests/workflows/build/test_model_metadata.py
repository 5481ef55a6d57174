"""A build's own model.onnx says what goes in and out, so that nothing of it has to be said or assumed again."""

import onnx
from own_networks import NAMES, SIZE, save_classifier

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.onnx.described import describe
from ofa_edge.export.onnx.given import read_given
from ofa_edge.network import Interface
from ofa_edge.records.interface import ONNX_KEY
from ofa_edge.workflows.build.base import ModelOptions
from ofa_edge.workflows.build.model_interface import interface_of

HOW = Preprocessing(SIZE, 3, (127.5, 120.0, 110.0), (127.5, 60.0, 50.0), fit="squeeze")


def test_a_builds_own_file_is_read_back(tmp_path):
    file = save_classifier(tmp_path / "model.onnx", shape=(1, 3, SIZE, SIZE))
    describe(file, Interface.of_classifier(HOW, NAMES).record("model.onnx"))
    known = interface_of(read_given(file), ModelOptions(file), None)
    assert known.interface.inputs[0].preprocessing == HOW
    assert known.interface.outputs[0].labels == NAMES
    assert known.assumed == ()
    asked = interface_of(read_given(file), ModelOptions(file, mean=(1.0,), std=(2.0,), fit="crop"), None)
    assert asked.interface.inputs[0].preprocessing == Preprocessing(SIZE, 3, (1.0,) * 3, (2.0,) * 3)


def test_what_is_no_interface_is_passed_over(tmp_path):
    file = save_classifier(tmp_path / "model.onnx", shape=(1, 3, SIZE, SIZE))
    for text in ("", "{", '{"interface": 2}', "[" * 100_000):
        model = onnx.load(file)
        del model.metadata_props[:]
        model.metadata_props.add(key=ONNX_KEY, value=text)
        onnx.save(model, file)
        known = interface_of(read_given(file), ModelOptions(file), None)
        assert known.interface.inputs[0].preprocessing.fit == "crop"
        assert any("ImageNet" in each for each in known.assumed)
