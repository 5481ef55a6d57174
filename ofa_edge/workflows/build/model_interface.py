"""What goes into a given network and what comes out: by options, by what the file says, else assumed, and said so."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.data.labels import listed_labels, read_labels, told_apart
from ofa_edge.data.open import class_folders
from ofa_edge.data.preprocess import Preprocessing, asked_statistics
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.given import Given
from ofa_edge.network import Input, Interface, Output
from ofa_edge.supernet.zoo import IMAGENET_MEAN, IMAGENET_STD
from ofa_edge.workflows.build.base import ModelOptions

_LONGEST = 200_000  # characters of one entry of a file's metadata that are read


@dataclass(frozen=True)
class Known:
    """An interface, and what was assumed to have it, a sentence each."""

    interface: Interface
    assumed: tuple[str, ...]


def interface_of(given: Given, options: ModelOptions, data: Path | None) -> Known:
    """The interface of a given file.

    Args:
        given: the file.
        options: what the user said of it.
        data: the folder of images that it will be run on, whose classes may tell what its outputs are.

    Raises:
        ConfigError: options that contradict the file.
        DataError: labels that cannot be.
    """
    assumed = list[str]()
    preprocessing = _preprocessing(given, options, assumed)
    source = Input(given.input, given.shape, preprocessing)
    return Known(Interface((source,), _outputs(given, options, data, assumed)), tuple(assumed))


def _preprocessing(given: Given, options: ModelOptions, assumed: list[str]) -> Preprocessing | None:
    if not given.takes_images:
        if options.mean is not None or options.std is not None:
            raise ConfigError(
                "--mean and --std are for images",
                f"{given.path.name} takes {list(given.shape)}: neither 1 nor 3 channels",
                "leave them out, and give inputs as the network takes them: --samples FILE.npz",
            )
        return None
    _, channels, height, width = given.shape
    mean, std = _normalisation(given, options, channels, assumed)
    return Preprocessing(height, channels, mean, std, None if width == height else width)


def _normalisation(
    given: Given, options: ModelOptions, channels: int, assumed: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in pixels 0..255."""
    if options.mean is not None or options.std is not None:
        return asked_statistics(options.mean, options.std, channels)
    said = _said_normalisation(given.metadata, channels)
    if said is not None:
        return said
    if given.dtype == "uint8":
        assumed.append("pixels go in as they are, 0..255, as the input is of uint8; else --mean, --std")
        return (0.0,) * channels, (1.0,) * channels
    if channels == len(IMAGENET_MEAN):
        assumed.append(
            "pixels are normalised with ImageNet's mean and standard deviation, as torchvision and timm do; "
            "else --mean, --std"
        )
        return IMAGENET_MEAN, IMAGENET_STD
    assumed.append("pixels go in as 0..1; else --mean, --std")
    return (0.0,) * channels, (255.0,) * channels


def _scaled(values: Sequence[float], scale: float, channels: int) -> tuple[float, ...]:
    return tuple(scale * value for value in (values if len(values) == channels else list(values) * channels))


def _said_normalisation(
    metadata: Mapping[str, str], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """By timm's `pretrained_cfg`, by entries `mean` and `std`, or as Ultralytics' exports are; None where none is."""
    config = _value(metadata.get("pretrained_cfg", ""))
    pairs: Mapping[str, Any] = config if isinstance(config, Mapping) else metadata
    mean, std = (_numbers(pairs.get(name), channels) for name in ("mean", "std"))
    if mean is not None and std is not None:
        scale = 255.0 if max(*mean, *std) <= 1 else 1.0  # of pixels 0..1, as a rule
        return _scaled(mean, scale, channels), _scaled(std, scale, channels)
    if {"stride", "names", "imgsz"} <= metadata.keys():
        return (0.0,) * channels, (255.0,) * channels
    return None


def _numbers(value: Any, channels: int) -> tuple[float, ...] | None:
    found = _value(value) if isinstance(value, str) else value
    if isinstance(found, int | float):
        found = [found] * channels
    if not isinstance(found, Sequence) or len(found) != channels:
        return None
    if not all(isinstance(each, int | float) for each in found):
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


def _outputs(given: Given, options: ModelOptions, data: Path | None, assumed: list[str]) -> tuple[Output, ...]:
    shapes = given.output_shapes
    row = len(shapes) == 1 and sum(size > 1 for size in shapes[0]) == 1
    task = options.task or ("classify" if row else "features")
    if task == "features":
        if options.labels is not None:
            raise ConfigError("--labels with --task features", str(options.labels), "--task classify, or no --labels")
        return tuple(Output(name, shape, (), "features") for name, shape in zip(given.outputs, shapes, strict=True))
    if not row:
        raise ConfigError(
            f"{given.path.name} gives no row of logits",
            ", ".join(f"'{name}' {list(shape)}" for name, shape in zip(given.outputs, shapes, strict=True)),
            "--task features, or --output NAME of the one that is",
        )
    return (Output(given.outputs[0], shapes[0], _labels(given, options, data, max(shapes[0]), assumed)),)


def _labels(given: Given, options: ModelOptions, data: Path | None, count: int, assumed: list[str]) -> tuple[str, ...]:
    """The classes in the order of the logits."""
    if options.labels is not None:
        return listed_labels(options.labels, count)
    said = _said_labels(given.metadata)
    if said is not None and len(said) == count:
        return told_apart(said, f"{given.path.name}'s metadata")
    folders = class_folders(data)
    if folders and data is not None:
        labels = read_labels(data, folders)
        if len(labels) != count:
            raise ConfigError(
                f"{given.path.name} has {count} outputs, {data.name} has {len(labels)} classes",
                f"{data}: {', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}",
                "--labels FILE: a class a line, in the order of the outputs; folders may then be some of them",
            )
        assumed.append(f"outputs are the classes of {data.name} in the order of their folders' names; else --labels")
        return labels
    assumed.append("the output is a classifier's logits; its classes have no names; else --labels, or --task features")
    return tuple(f"class {number}" for number in range(count))


def _said_labels(metadata: Mapping[str, str]) -> list[str] | None:
    """By Ultralytics' `names` ({0: "person", ...}), or a list of names or lines."""
    for key in ("names", "labels", "classes"):
        text = metadata.get(key, "")
        found = _value(text)
        if isinstance(found, Mapping):
            try:
                found = [found[number] for number in sorted(found, key=int)]
            except (ValueError, TypeError):
                continue
        elif found is None and "\n" in text:
            found = text.strip().splitlines()
        if isinstance(found, list) and found and all(isinstance(each, str) for each in found):
            return found
    return None
