"""The schema of an interface refuses what no artifact has, and comes back from its file as it was."""

import pytest
from pydantic import ValidationError

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.network import Interface
from ofa_edge.records.interface import InterfaceRecord

COLOUR = Preprocessing(24, 3, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), 32, "letterbox")


def record() -> InterfaceRecord:
    return Interface.of_classifier(COLOUR, ("a", 'b"\n*/')).record("model.onnx")


def test_it_says_what_the_preprocessing_does():
    said = record()
    assert said == InterfaceRecord.model_validate_json(said.model_dump_json())
    assert (said.picture.height, said.picture.width, said.picture.order, said.picture.fill) == (24, 32, "RGB", 114)
    assert (said.picture.mean, said.picture.std) == (COLOUR.mean, COLOUR.std)
    assert said.labels == ("a", 'b"\n*/')
    assert said.inputs[0].layout == "NCHW"


def test_what_has_no_bars_has_no_grey():
    assert Preprocessing(24, 1, (0.0,), (1.0,)).record().fill is None
    assert Preprocessing(24, 4, (0.0,) * 4, (1.0,) * 4).record().order == "stored"


@pytest.mark.parametrize(
    ("key", "value"),
    [("mean", [1.0]), ("std", [1.0, 0.0, 1.0]), ("filter", "nearest"), ("height", 0), ("fill", 256), ("order", "BGR")],
)
def test_what_no_photo_becomes_is_refused(key, value):
    said = record().model_dump(mode="json")
    said["inputs"][0]["picture"][key] = value
    with pytest.raises(ValidationError):
        InterfaceRecord.model_validate(said, strict=False)


@pytest.mark.parametrize(("key", "value"), [("interface", 2), ("file", "../model.onnx"), ("outputs", []), ("more", 1)])
def test_what_is_no_interface_is_refused(key, value):
    with pytest.raises(ValidationError):
        InterfaceRecord.model_validate({**record().model_dump(mode="json"), key: value}, strict=False)
