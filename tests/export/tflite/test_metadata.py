import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError
from ofa_edge.export.tflite.convert import operators, run_tflite
from ofa_edge.export.tflite.metadata import Metadata, read_metadata
from ofa_edge.export.tflite.metadata_writer import write_metadata
from ofa_edge.files import sha256_file

PREPROCESSING = Preprocessing(27, 3, (123.5, 116.25, 103.5), (58.5, 57.0, 57.5))  # exact in float32
LABELS = ["T-shirt/top", "Überzieher", "kimono 着物", *(f"class {number}" for number in range(7))]
TEXTS = {"name": "tiny", "description": "a test's network", "version": "1.2.3"}
FACTS = {"space": "ab" * 32, "subnet": {"depths": [2, 3], "resolution": 27}}


def write(src, out, **changes):
    arguments = {"preprocessing": PREPROCESSING, "labels": LABELS, "facts": FACTS, **TEXTS, **changes}
    write_metadata(src, out, **arguments)
    return out


@pytest.fixture(scope="module", params=["fp32", "int8"])
def models(request, tflite_paths, tmp_path_factory):
    """(without, with metadata)."""
    plain = tflite_paths[request.param]
    return plain, write(plain, tmp_path_factory.mktemp("metadata") / "model.tflite")


def test_round_trip(models):
    assert read_metadata(models[1]) == Metadata(
        **TEXTS,
        author="ofa-edge",
        mean=PREPROCESSING.mean,
        std=PREPROCESSING.std,
        labels=tuple(LABELS),
        facts=FACTS,
    )


def test_tflite_support_reads_it(tflite_paths, tmp_path):
    """Google's own reader, in a process of its own: it imports TensorFlow."""
    script = """
import json, sys
from tensorflow_lite_support.metadata.python import metadata
shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
files = {name: shown.get_associated_file_buffer(name).decode() for name in shown.get_packed_associated_file_list()}
json.dump({"metadata": json.loads(shown.get_metadata_json()), "files": files}, open(sys.argv[2], "w"))
"""
    model, out = write(tflite_paths["int8"], tmp_path / "model.tflite"), tmp_path / "shown.json"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", script, model, out], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(out.read_text())
    table = shown["metadata"]
    assert {key: table[key] for key in TEXTS} == TEXTS
    assert table["min_parser_version"] == "1.0.0"
    tensor = table["subgraph_metadata"][0]["input_tensor_metadata"][0]
    assert tensor["content"]["content_properties"] == {"color_space": "RGB"}
    assert tensor["process_units"] == [
        {
            "options_type": "NormalizationOptions",
            "options": {"mean": list(PREPROCESSING.mean), "std": list(PREPROCESSING.std)},
        }
    ]
    named = table["subgraph_metadata"][0]["output_tensor_metadata"][0]["associated_files"]
    assert [(each["name"], each["type"]) for each in named] == [("labels.txt", "TENSOR_AXIS_LABELS")]
    assert shown["files"]["labels.txt"].splitlines() == LABELS
    assert json.loads(shown["files"]["ofa_edge.json"]) == FACTS


def test_the_model_is_the_same_model(models, images):
    plain, described = models
    assert operators(plain) == operators(described)
    np.testing.assert_array_equal(run_tflite(plain, images[:4]), run_tflite(described, images[:4]))


def test_constants_are_aligned(models):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(models[1].read_bytes())
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    starts = [each._tab.Vector(each._tab.Offset(4)) for each in buffers if each.DataLength()]
    assert len(starts) > 50
    assert {start % 16 for start in starts} == {0}


def test_same_bytes_at_another_time(models, tmp_path, monkeypatch):
    import time

    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    again = write(models[0], tmp_path / "again.tflite", facts=dict(reversed(FACTS.items())))
    assert sha256_file(again) == sha256_file(models[1])
    with zipfile.ZipFile(again) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_in_place_and_without_facts(models, tmp_path):
    copy = tmp_path / "model.tflite"
    copy.write_bytes(models[0].read_bytes())
    assert read_metadata(write(copy, copy, facts=None, author="someone")).facts == {}
    assert read_metadata(copy).author == "someone"


def test_grey_images(models, tmp_path):
    grey = Preprocessing(27, 1, (127.5,), (127.5,))
    assert read_metadata(write(models[0], tmp_path / "grey.tflite", preprocessing=grey)).mean == (127.5,)


def test_not_twice(models, tmp_path):
    with pytest.raises(ConversionError, match="has metadata already"):
        write(models[1], tmp_path / "twice.tflite")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:9], "9 labels for 10 classes"),
        ([*LABELS[:9], "two\nlines"], r"label 'two\\nlines'"),
        ([*LABELS[:9], ""], "label ''"),
    ],
)
def test_bad_labels(models, tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        write(models[0], tmp_path / "model.tflite", labels=labels)
    assert not list(tmp_path.iterdir())


def test_a_model_without_metadata(models):
    with pytest.raises(ConversionError, match="carries no metadata"):
        read_metadata(models[0])
