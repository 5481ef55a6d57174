"""TFLite metadata: how to normalise the input, what the classes are called, and where the model comes from.

The format is TFLite's own (metadata schema 1.5: a flatbuffer inside the model, the labels in a ZIP behind it), so any
reader of it finds them. It is written here and not by tflite-support's populator, which rewrites the model through a
schema of 2023, imports TensorFlow and stamps the time into the file.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow_lite_support.metadata import metadata_schema_py_generated as tables

from ofa_edge.archives import DAMAGED_ZIP, zip_member
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConversionError, DataError
from ofa_edge.export.model_file import content_of
from ofa_edge.export.tflite.flatbuffer import DAMAGE, pack, unpack
from ofa_edge.files import LARGEST_TEXT, parse_json, pretty_json, write_bytes

LABELS_FILE = "labels.txt"
FACTS_FILE = "ofa_edge.json"

_FIELD = b"TFLITE_METADATA"
_METADATA_ID = b"M001"
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can hold


@dataclass(frozen=True)
class Metadata:
    """What a model file says about itself.

    Attributes:
        name, description, version, author: for people.
        mean, std: per channel, in units of the raw pixel values 0..255: input = (pixel - mean) / std; none where the
            input is no image.
        labels: class names, in the order of the logits; none where the output is no logits.
        facts: this project's own (subnet, digest of its space); JSON.
    """

    name: str
    description: str
    version: str
    author: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...]
    facts: Mapping[str, Any]


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
    entry.name, entry.buffer = _FIELD, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    files = {FACTS_FILE: pretty_json(dict(facts or {}))}
    if labels:
        files[LABELS_FILE] = "".join(f"{label}\n" for label in labels).encode()
    write_bytes(out, _with_files(pack(model), files))


def read_metadata(path: Path) -> Metadata:
    """Read what `write_metadata` wrote.

    Raises:
        ConversionError: the file has no such metadata.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = content_of(path)
    try:
        model = schema.Model.GetRootAs(content)
        entries = (model.Metadata(i) for i in range(model.MetadataLength()))
        place = next(entry.Buffer() for entry in entries if entry.Name() == _FIELD)
        packed = model.Buffers(place).DataAsNumpy().tobytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = zip_member(archive, LABELS_FILE, LARGEST_TEXT) if LABELS_FILE in archive.namelist() else b""
            labels = listed.decode().splitlines()
            facts = parse_json(zip_member(archive, FACTS_FILE, LARGEST_TEXT))
        return _metadata(packed, labels, facts)
    except (*DAMAGE, *DAMAGED_ZIP, StopIteration) as error:
        raise ConversionError(
            f"{path.name} carries no metadata of ofa-edge",
            f"no {_FIELD.decode()} entry or {FACTS_FILE} in {path}",
            "build the artifact again, or give a file that `ofa-edge build` made",
        ) from error


def _metadata(packed: bytes, labels: Sequence[str], facts: Any) -> Metadata:
    table = tables.ModelMetadataT.InitFromPackedBuf(packed)
    units = table.subgraphMetadata[0].inputTensorMetadata[0].processUnits
    mean, std = (tuple(map(float, getattr(units[0].options, name))) if units else () for name in ("mean", "std"))
    return Metadata(
        name=table.name.decode(),
        description=table.description.decode(),
        version=table.version.decode(),
        author=table.author.decode(),
        mean=mean,
        std=std,
        labels=tuple(labels),
        facts=facts,
    )


def _check(model: Any, src: Path, labels: Sequence[str]) -> None:
    if any(entry.name == _FIELD for entry in model.metadata or []):
        why = f"{src} holds a {_FIELD.decode()} entry"
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
