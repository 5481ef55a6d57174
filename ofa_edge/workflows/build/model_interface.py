"""What goes into a given network and what comes out: by options, by what the file says, else assumed, and said so."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.data.labels import read_labels
from ofa_edge.data.open import class_folders
from ofa_edge.data.preprocess import Preprocessing, asked_statistics
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.given import Given
from ofa_edge.export.onnx.pieces import Piece
from ofa_edge.network import Input, Interface, Output
from ofa_edge.supernet.zoo import IMAGENET_MEAN, IMAGENET_STD
from ofa_edge.vocabulary import Fit
from ofa_edge.workflows.build.base import ModelOptions
from ofa_edge.workflows.build.model_metadata import (
    ULTRALYTICS,
    TimmConfig,
    said_framing,
    said_interface,
    said_labels,
    said_normalisation,
    timm_config,
)
from ofa_edge.workflows.build.model_tasks import detector, segmenter


@dataclass(frozen=True)
class Known:
    """An interface, and where it comes from.

    Attributes:
        interface: what goes in and comes out.
        assumed: what nobody said, a sentence each.
        pieces: of the file's one output, where they are the outputs.
        beside: files beside the network's that said something of it.
    """

    interface: Interface
    assumed: tuple[str, ...]
    pieces: tuple[Piece, ...] = ()
    beside: tuple[Path, ...] = ()


def interface_of(given: Given, options: ModelOptions, data: Path | None, *, apart: bool = False) -> Known:
    """The interface of a given file.

    Args:
        given: the file.
        options: what the user said of it.
        data: the folder of images that it will be run on, whose classes may tell what its outputs are.
        apart: whether a detector's output is better given in the pieces that it is joined from.

    Raises:
        ConfigError: options that contradict the file.
        DataError: labels that cannot be.
    """
    assumed, config = list[str](), timm_config(given)
    preprocessing = _preprocessing(given, options, config, assumed)
    beside = (config.path,) if preprocessing is not None and config is not None and config.path is not None else ()
    if beside:
        assumed.append(f"{beside[0].name} beside the file is taken for its own; else move it away")
    sources = tuple(Input(each.name, each.shape, preprocessing) for each in given.inputs)
    if options.task not in ("detect", "segment"):
        _refuse_decoding(options)
        return Known(Interface(sources, _outputs(given, options, data, assumed)), tuple(assumed), beside=beside)
    if preprocessing is None:
        why = _no_image(given)
        raise ConfigError(f"--task {options.task} of what is no image", why, "--task features")
    if options.task == "detect":
        interface, pieces = detector(given, options, data, sources[0], assumed, apart=apart)
        return Known(interface, tuple(assumed), pieces, beside)
    _refuse_decoding(options)
    return Known(segmenter(given, options, sources[0], assumed), tuple(assumed), beside=beside)


def _refuse_decoding(options: ModelOptions) -> None:
    for name in ("decode", "anchors", "priors"):
        value = getattr(options, name)
        if value is not None:
            raise ConfigError(f"--{name} with --task {options.task or 'classify'}", str(value), "--task detect")


def _no_image(given: Given) -> str:
    if len(given.inputs) > 1:
        return f"{given.path.name} takes {len(given.inputs)} inputs: {', '.join(each.words for each in given.inputs)}"
    why = "neither 1 nor 3 channels" if len(given.shape) == 4 else "an image is [1, channels, height, width]"
    return f"{given.path.name} takes {list(given.shape)}: {why}"


def _preprocessing(
    given: Given, options: ModelOptions, config: TimmConfig | None, assumed: list[str]
) -> Preprocessing | None:
    if not given.takes_images:
        if options.mean is not None or options.std is not None:
            raise ConfigError(
                "--mean and --std are for images",
                _no_image(given),
                "leave them out, and give inputs as the network takes them: --samples FILE.npz",
            )
        return None
    _, channels, height, width = given.shape
    mean, std = _normalisation(given, options, config, channels, assumed)
    fit = options.fit or _usual_fit(given, options, assumed)
    square = fit == "crop" and width == height and options.task not in ("detect", "segment")
    framing = said_framing(given.metadata, config, assumed) if square else None
    return Preprocessing(height, channels, mean, std, None if width == height else width, fit, framing)


def _usual_fit(given: Given, options: ModelOptions, assumed: list[str]) -> Fit:
    """How pictures come into the frame of such networks."""
    own = said_interface(given.metadata)
    if own is not None and own.picture is not None:
        return own.picture.fit
    if options.task == "segment":
        assumed.append("pictures are squeezed into the input's shape; else --fit crop or letterbox")
        return "squeeze"
    if options.task != "detect":
        return "crop"
    if given.metadata.keys() >= ULTRALYTICS:
        return "letterbox"
    if len(given.outputs) == 1:
        assumed.append("pictures keep their shape, with grey bars, as YOLO's family has it; else --fit squeeze")
        return "letterbox"
    assumed.append("pictures are squeezed into the input's shape, as DETR and SSD have it; else --fit letterbox")
    return "squeeze"


def _normalisation(
    given: Given, options: ModelOptions, config: TimmConfig | None, channels: int, assumed: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in pixels 0..255."""
    if options.mean is not None or options.std is not None:
        return asked_statistics(options.mean, options.std, channels)
    said = said_normalisation(given.metadata, config, channels)
    if said is not None:
        return said
    if given.first.dtype == "uint8":
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
    if (said := said_labels(given, options, count)) is not None:
        return said
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
