"""What an ONNX file says of itself: in its metadata, as our builds, timm and Ultralytics do, or in config.json."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ofa_edge.data.framing import Framing
from ofa_edge.data.labels import listed_labels, told_apart
from ofa_edge.export.onnx.given import Given
from ofa_edge.records.interface import ONNX_KEY, InterfaceRecord
from ofa_edge.vocabulary import FILTERS
from ofa_edge.workflows.build.base import ModelOptions

ULTRALYTICS = {"stride", "names", "imgsz"}  # what its exports say of themselves
_LONGEST = 200_000  # characters of one entry that are read
_LARGEST_VALUE = 1e6  # of a mean or deviation of pixels; not a number, either
_SHARE, _FILTER = 0.875, "bicubic"  # timm's, where its configuration has one of the two


@dataclass(frozen=True)
class TimmConfig:
    """Timm's `pretrained_cfg`; `path` of the config.json that it is in, where that lies beside the file."""

    values: Mapping[str, Any]
    path: Path | None = None


def timm_config(given: Given) -> TimmConfig | None:
    """In the file's metadata, else in `config.json` beside it, as the hub has it."""
    found = _value(given.metadata.get("pretrained_cfg", ""))
    if isinstance(found, Mapping):
        return TimmConfig(found)
    path = given.path.with_name("config.json")
    try:
        beside = _value(path.read_text("utf-8")) if path.is_file() and path.stat().st_size <= _LONGEST else None
    except (OSError, UnicodeDecodeError):
        return None
    values = beside.get("pretrained_cfg") if isinstance(beside, Mapping) else None
    return TimmConfig(values, path) if isinstance(values, Mapping) else None


def said_framing(metadata: Mapping[str, str], config: TimmConfig | None, assumed: list[str]) -> Framing | None:
    """How a build or timm brings pictures into the frame, where they say so; what is not done is said."""
    own = said_interface(metadata)
    if own is not None and own.picture is not None:
        used = own.picture.filter
        return None if used == "triangle" else Framing(used, own.picture.share)
    if config is None or not {"crop_pct", "interpolation"} & config.values.keys():
        return None
    share, wanted = config.values.get("crop_pct") or _SHARE, config.values.get("interpolation") or _FILTER
    chosen = next((name for name in FILTERS if name == wanted), None)
    mode = config.values.get("crop_mode") or "center"
    valid = isinstance(share, int | float) and 0 < share <= 1
    if chosen is None or not valid or mode != "center":
        assumed.append(
            f"pretrained_cfg asks for interpolation {wanted!r}, crop_pct {share!r} and crop_mode {mode!r}: this is not "
            "done, the middle square goes in by a triangle filter"
        )
        return None
    return Framing(chosen, float(share))


def said_interface(metadata: Mapping[str, str]) -> InterfaceRecord | None:
    """The interface that a build wrote into its `model.onnx`; None where there is none of this schema."""
    text = metadata.get(ONNX_KEY, "")
    try:
        return InterfaceRecord.model_validate_json(text) if 0 < len(text) <= _LONGEST else None
    except ValidationError:
        return None


def said_normalisation(
    metadata: Mapping[str, str], config: TimmConfig | None, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """By a build, timm's `pretrained_cfg`, `mean` and `std`, or as Ultralytics' exports are; None where none is."""
    own = said_interface(metadata)
    if own is not None and own.picture is not None and own.picture.channels == channels:
        return own.picture.mean, own.picture.std
    pairs: Mapping[str, Any] = config.values if config is not None else metadata
    mean, std = (_numbers(pairs.get(name), channels) for name in ("mean", "std"))
    if mean is not None and std is not None and min(std) > 0:
        scale = 255.0 if max(*mean, *std) <= 1 else 1.0  # of pixels 0..1, as a rule
        return _scaled(mean, scale, channels), _scaled(std, scale, channels)
    if metadata.keys() >= ULTRALYTICS:
        return (0.0,) * channels, (255.0,) * channels
    return None


def _numbers(value: Any, channels: int) -> tuple[float, ...] | None:
    found = _value(value) if isinstance(value, str) else value
    if isinstance(found, int | float):
        found = [found] * channels
    if not isinstance(found, Sequence) or len(found) != channels:
        return None
    if not all(isinstance(each, int | float) and abs(each) < _LARGEST_VALUE for each in found):
        return None
    return tuple(float(each) for each in found)


def _value(text: str) -> Any:
    """What an entry of metadata says: JSON, or a Python literal, as exporters write them; None where it is neither."""
    if len(text) > _LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def said_labels(given: Given, options: ModelOptions, count: int | None) -> tuple[str, ...] | None:
    """The classes by `--labels` or the file's metadata; None where neither says. Raises DataError."""
    if options.labels is not None:
        return listed_labels(options.labels, count)
    said = _said_labels(given.metadata)
    if said is not None and count in (None, len(said)):
        return told_apart(said, f"{given.path.name}'s metadata")
    return None


def _said_labels(metadata: Mapping[str, str]) -> list[str] | None:
    """By a build, Ultralytics' `names` ({0: "person", ...}), or a list of names or lines."""
    own = said_interface(metadata)
    if own is not None and own.labels:
        return list(own.labels)
    for key in ("names", "labels", "classes"):
        text = metadata.get(key, "")
        found = _value(text)
        if isinstance(found, Mapping):
            try:
                found = [found[number] for number in sorted(found, key=int)]
            except (ValueError, TypeError, OverflowError):
                continue
        elif found is None and "\n" in text:
            found = text.strip().splitlines()
        if isinstance(found, list) and found and all(isinstance(each, str) for each in found):
            return found
    return None


def _scaled(values: Sequence[float], scale: float, channels: int) -> tuple[float, ...]:
    return tuple(scale * value for value in (values if len(values) == channels else list(values) * channels))
