"""Write TFLite metadata: how to normalise the input, what the classes are called, and where the model comes from.

The format is TFLite's own (metadata schema 1.5: a flatbuffer inside the model, the labels in a ZIP behind it), so any
reader of it finds them. It is written here and not by tflite-support's populator, which rewrites the model through a
schema of 2023, imports TensorFlow and stamps the time into the file.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow_lite_support.metadata import metadata_schema_py_generated as tables

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError
from ofa_edge.export.tflite.flatbuffer import pack, unpack
from ofa_edge.export.tflite.metadata import FACTS_FILE, FIELD, LABELS_FILE
from ofa_edge.files import pretty_json, write_bytes

_METADATA_ID = b"M001"
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can hold


def write_metadata(
    src: Path,
    out: Path,
    preprocessing: Preprocessing | None,
    labels: Sequence[str],
    *,
    name: str,
    description: str,
    version: str,
    author: str = "ofa-edge",
    facts: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = ("input",),
    outputs: Sequence[str] = ("logits",),
) -> None:
    """Copy a TFLite model, with metadata. The same arguments give the same bytes.

    Args:
        src: a model of `convert.convert`, without metadata.
        out: the file to write; may be `src`.
        preprocessing: its mean and std become the input's normalisation; None where the input is no image.
        labels: one for each logit, without line breaks; none where the output is no logits.
        name: of the model.
        description: of the model, one sentence.
        version: of the model.
        author: who made it.
        inputs: their names, in the model's order.
        outputs: likewise.
        facts: anything JSON that belongs to the model; kept in the file `ofa_edge.json` behind it.

    Raises:
        ConversionError: `src` has metadata already.
        DataError: labels that do not fit the model's output, or are no single lines.
        OutputError: `out` cannot be written.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(src.read_bytes())
    _check(model, src, labels)
    graph = tables.SubGraphMetadataT()
    graph.inputTensorMetadata = [_input_table(name, preprocessing) for name in inputs]
    graph.outputTensorMetadata = [_output_table(output, bool(labels)) for output in outputs]
    packed = _with_parser_version(_model_table(graph, name, description, version, author))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(packed, np.uint8)
    entry.name, entry.buffer = FIELD, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    files = {FACTS_FILE: pretty_json(dict(facts or {}))}
    if labels:
        files[LABELS_FILE] = "".join(f"{label}\n" for label in labels).encode()
    write_bytes(out, _with_files(pack(model), files))


def _check(model: Any, src: Path, labels: Sequence[str]) -> None:
    if any(entry.name == FIELD for entry in model.metadata or []):
        why = f"{src} holds a {FIELD.decode()} entry"
        raise ConversionError(f"{src.name} has metadata already", why, "start from the model without it")
    graph = model.subgraphs[0]
    classes = int(graph.tensors[graph.outputs[0]].shape[-1])
    if labels and len(labels) != classes:
        raise DataError(
            f"{len(labels)} labels for {classes} classes",
            f"{src.name} gives {classes} logits, each needs a name",
            "give the label list of the data that the network was trained on",
        )
    broken = next((label for label in labels if len(label.splitlines()) != 1), None)
    if broken is not None:
        why = f"label {broken!r}; {LABELS_FILE} holds one a line"
        raise DataError("a label is not one line of text", why, "rename the class")


def _model_table(graph: Any, name: str, description: str, version: str, author: str) -> Any:
    table = tables.ModelMetadataT()
    table.name, table.description, table.version, table.author = name, description, version, author
    table.subgraphMetadata = [graph]
    table.associatedFiles = [_file_table(FACTS_FILE, tables.AssociatedFileType.DESCRIPTIONS, "subnet and search space")]
    return table


def _with_parser_version(table: Any) -> bytes:
    """The metadata's flatbuffer, which says which is the oldest parser that understands it."""
    from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version

    table.minParserVersion = _pywrap_metadata_version.GetMinimumMetadataParserVersion(_packed(table))
    return _packed(table)


def _packed(table: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(table.Pack(builder), _METADATA_ID)
    return bytes(builder.Output())


def _input_table(name: str, preprocessing: Preprocessing | None) -> Any:
    table = tables.TensorMetadataT()
    table.name = name
    if preprocessing is None:
        table.description = "as the network takes it"
        table.content = _content(tables.ContentProperties.FeatureProperties, tables.FeaturePropertiesT())
        return table
    options = tables.NormalizationOptionsT()
    options.mean, options.std = list(preprocessing.mean), list(preprocessing.std)
    unit = tables.ProcessUnitT()
    unit.optionsType, unit.options = tables.ProcessUnitOptions.NormalizationOptions, options
    image = tables.ImagePropertiesT()
    colours = tables.ColorSpaceType
    image.colorSpace = {1: colours.GRAYSCALE, 3: colours.RGB}.get(preprocessing.channels, colours.UNKNOWN)
    table.description = f"one image, {preprocessing.size} x {preprocessing.shape[1]}, (pixel 0..255 - mean) / std"
    table.content = _content(tables.ContentProperties.ImageProperties, image)
    table.processUnits = [unit]
    return table


def _output_table(name: str, labelled: bool) -> Any:
    table = tables.TensorMetadataT()
    table.name = name
    table.description = "one score for each class, before softmax" if labelled else "as the network gives it"
    table.content = _content(tables.ContentProperties.FeatureProperties, tables.FeaturePropertiesT())
    if labelled:
        table.associatedFiles = [_file_table(LABELS_FILE, tables.AssociatedFileType.TENSOR_AXIS_LABELS, "class names")]
    return table


def _content(kind: int, properties: Any) -> Any:
    content = tables.ContentT()
    content.contentPropertiesType, content.contentProperties = kind, properties
    return content


def _file_table(name: str, kind: int, description: str) -> Any:
    table = tables.AssociatedFileT()
    table.name, table.type, table.description = name, kind, description
    return table


def _with_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """A model with a ZIP of files behind it, uncompressed, so that a reader can map them as they lie."""
    target = io.BytesIO(model)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return target.getvalue()
