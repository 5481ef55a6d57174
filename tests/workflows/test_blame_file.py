"""`inspect --against`: whose layers are blamed, and on what."""

import pytest
from tiny_tflite import CLASSES, tiny_tflite

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError, UnsupportedError
from ofa_edge.export.tflite.metadata_writer import write_metadata
from ofa_edge.workflows.blame import blame_file


@pytest.fixture
def made(tmp_path):
    """A model with metadata, of another space's classes."""

    def make(quantised):
        bare, path = tmp_path / "bare.tflite", tmp_path / "model.tflite"
        bare.write_bytes(tiny_tflite(quantised, channels=1))
        labels = tuple(f"kind {index}" for index in range(CLASSES))
        texts = {"name": "tiny", "description": "a test's network", "version": "0.1.0"}
        write_metadata(bare, path, Preprocessing(12, 1, (72.0,), (90.0,)), labels, **texts)
        return path

    return make


def test_a_file_that_is_not_int8_is_refused(made, tmp_path):
    with pytest.raises(UnsupportedError, match="not int8 throughout"):
        blame_file(made(False), tmp_path / "model.onnx")


def test_without_metadata_nobody_knows_how_images_go_in(tmp_path):
    path = tmp_path / "bare.tflite"
    path.write_bytes(tiny_tflite(True, channels=1))
    with pytest.raises(ConversionError, match="no metadata"):
        blame_file(path, tmp_path / "model.onnx")


def test_the_packages_images_are_only_taken_for_its_classes(made, tmp_path):
    with pytest.raises(DataError, match="no images to blame"):
        blame_file(made(True), tmp_path / "model.onnx")
