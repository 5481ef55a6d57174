"""What a TFLite model's metadata say: how to normalise the input, what the classes are called, where it comes from.

tflite-support has classes for their flatbuffer (schema 1.5); but what reads an artifact has to work where nothing can
make one, and that package is not there then. So fields are read by their places in the schema.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import encode
from flatbuffers import number_types as types
from flatbuffers.table import Table

from ofa_edge.archives import DAMAGED_ZIP, zip_member
from ofa_edge.errors import ConversionError
from ofa_edge.export.model_file import content_of
from ofa_edge.export.tflite.flatbuffer import DAMAGE
from ofa_edge.files import LARGEST_TEXT, parse_json

LABELS_FILE = "labels.txt"
FACTS_FILE = "ofa_edge.json"
FIELD = b"TFLITE_METADATA"

# Places of fields in their tables.
_NAME, _DESCRIPTION, _VERSION, _SUBGRAPHS, _AUTHOR = range(5)  # ModelMetadata
_INPUTS = 2  # SubGraphMetadata
_PROCESS_UNITS = 4  # TensorMetadata
_OPTIONS = 1  # ProcessUnit
_MEAN, _STD = range(2)  # NormalizationOptions


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
        place = next(entry.Buffer() for entry in entries if entry.Name() == FIELD)
        packed = model.Buffers(place).DataAsNumpy().tobytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = zip_member(archive, LABELS_FILE, LARGEST_TEXT) if LABELS_FILE in archive.namelist() else b""
            labels = listed.decode().splitlines()
            facts = parse_json(zip_member(archive, FACTS_FILE, LARGEST_TEXT))
        return _metadata(packed, tuple(labels), facts)
    except (*DAMAGE, *DAMAGED_ZIP, StopIteration) as error:
        raise ConversionError(
            f"{path.name} carries no metadata of ofa-edge",
            f"no {FIELD.decode()} entry or {FACTS_FILE} in {path}",
            "build the artifact again, or give a file that `ofa-edge build` made",
        ) from error


def _metadata(packed: bytes, labels: tuple[str, ...], facts: Mapping[str, Any]) -> Metadata:
    root = _Place(Table(packed, encode.Get(types.UOffsetTFlags.packer_type, packed, 0)))
    units = root.tables(_SUBGRAPHS)[0].tables(_INPUTS)[0].tables(_PROCESS_UNITS)
    options = units[0].table(_OPTIONS) if units else None
    mean, std = (options.floats(field) if options else () for field in (_MEAN, _STD))
    name, description, version, author = map(root.text, (_NAME, _DESCRIPTION, _VERSION, _AUTHOR))
    return Metadata(name, description, version, author, mean, std, labels, facts)


class _Place:
    """A table; its fields by their places, and what is empty where a field is left out."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def text(self, field: int) -> str:
        at = self._at(field)
        return self._table.String(at + self._table.Pos).decode() if at else ""

    def floats(self, field: int) -> tuple[float, ...]:
        at = self._at(field)
        found = self._table.GetVectorAsNumpy(types.Float32Flags, at) if at else np.zeros(0)
        return tuple(map(float, found))

    def tables(self, field: int) -> list["_Place"]:
        at = self._at(field)
        if not at:
            return []
        start, size = self._table.Vector(at), self._table.VectorLen(at)
        if start + 4 * size > len(self._table.Bytes):
            raise ValueError("a list longer than the file")
        return [_Place(Table(self._table.Bytes, self._table.Indirect(start + 4 * each))) for each in range(size)]

    def table(self, field: int) -> "_Place | None":
        at = self._at(field)
        return _Place(Table(self._table.Bytes, self._table.Indirect(at + self._table.Pos))) if at else None

    def _at(self, field: int) -> int:
        """Where a field lies in the table; 0 where it is left out."""
        return int(self._table.Offset(4 + 2 * field))
