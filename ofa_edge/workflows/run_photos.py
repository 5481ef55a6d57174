"""A built network at work: photos in, answers out, on this machine, an emulated device, or a board or phone."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import Build
from ofa_edge.data.boxes import Detections
from ofa_edge.data.dataset import Images
from ofa_edge.data.fitted import Frame, read_fitted
from ofa_edge.data.picture import SUFFIXES, read_picture
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.data.reading import Reading
from ofa_edge.device.access import connected, held
from ofa_edge.device.measuring.accuracy import accuracy_pass
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.protocol import LatencyPlan
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.metrics import probabilities
from ofa_edge.network import Network
from ofa_edge.verify.scoring.segmentation import answered_classes
from ofa_edge.workflows.build.on_device import Trial, request_of
from ofa_edge.workflows.verify import check_runs_there

_LOOK = LatencyPlan(sessions=1, min_runs=20, min_seconds=0.3, warmup_limit_seconds=1.0)
_SHOWN = 0.25  # score of a box that is shown


@dataclass(frozen=True)
class Label:
    """A class and how certain it is, 0..1: of a picture, of a box in it, or its share of the pixels.

    Attributes:
        name: of the class.
        share: probability, score, or share.
        box: corners in pixels of the picture; None of a whole picture.
    """

    name: str
    share: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Answer:
    """What a network says of one photo, the most certain first."""

    photo: Path
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Answers:
    """What a device answered.

    Attributes:
        device: its name.
        emulated: whether it gives no times.
        answers: of each photo.
        p50_ms: median of one short session; None of an emulated device, or where the device was slowed down.
    """

    device: str
    emulated: bool
    answers: tuple[Answer, ...]
    p50_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        value = dataclasses.asdict(self)
        for each in value["answers"]:
            each["photo"] = str(each["photo"])
        return value


def run_photos(folder: Path, photos: Sequence[Path], device: str = "local", top: int = 5) -> Answers:
    """Run a build's artifact on photos.

    Args:
        folder: of the build.
        photos: image files, and folders of them.
        device: its name.
        top: how many classes of each photo, or boxes in it.

    Raises:
        ConfigError: no build, one that takes no images, or one whose outputs have no meaning.
        DataError: no photos, or one that cannot be read.
        DeviceError: the device was lost, is taken, or its program failed.
    """
    build = Build.open(folder)
    network, files = build.network, _files(photos)
    preprocessing = network.preprocessing
    if preprocessing is None or network.task == "features":
        why = "its outputs are features" if preprocessing is not None else "its input is no image"
        raise ConfigError("a network that says nothing of photos", f"{folder}: {why}", "ofa-edge verify runs it")
    check_runs_there(build, device)
    read = [_read(path, preprocessing) for path in files]
    pixels = np.stack([each for each, _ in read])
    trial = Trial.of(build, Images(pixels, np.zeros(len(files), np.int64)))
    with connected(device, build.target, "run") as connection, held(connection, build.target) as conditions:
        request = request_of(trial, connection)
        with open_artifact(connection, request, conditions) as artifact:
            found = accuracy_pass(artifact)
            median = None if artifact.emulated else artifact.median_ms(_LOOK, found.outputs[0])
        emulated = connection.kind == "emulated"
    answers = tuple(
        Answer(path, _labels(network, row, frame, top))
        for path, row, (_, frame) in zip(files, found.outputs, read, strict=True)
    )
    return Answers(connection.name, emulated, answers, None if median is None or np.isnan(median) else median)


def _files(photos: Sequence[Path]) -> list[Path]:
    """The files that are meant; those of a folder by name."""
    if not photos:
        raise DataError("no photos", "none was given", "give image files, or a folder of them")
    found = list[Path]()
    for path in photos:
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            folders = sorted(each.name for each in path.iterdir() if each.is_dir()) if path.is_dir() else []
            what = "no photos" if path.is_dir() else "no such photo"
            why = f"{path}: {', '.join(folders[:3])} and whatever else is in it are folders" if folders else str(path)
            raise DataError(what, why, f"give image files ({', '.join(sorted(SUFFIXES))}), or a folder of them")
        found += inside
    return found


def _read(path: Path, preprocessing: Preprocessing) -> tuple[Pixels, Frame | None]:
    """A photo in the network's frame, and where that lies; None of a classifier's own framing, which has no places."""
    channels, framing = preprocessing.channels, preprocessing.framing
    if framing is not None:
        return read_picture(path, channels, preprocessing.size, Reading(framing=framing)).pixels, None
    return read_fitted(path, channels, preprocessing.shape, preprocessing.fit)


def _labels(network: Network, row: NDArray[np.float32], frame: Frame | None, top: int) -> tuple[Label, ...]:
    if network.task == "detect" and frame is not None:
        decoding = network.interface.decoding
        assert decoding is not None
        return _boxes(network, decoding.decode(row), frame, top)
    if network.task == "segment" and frame is not None:
        output = network.interface.outputs[0]
        classes = answered_classes(row, output.shape, output.layout, output.threshold, frame.shape)
        shares = np.bincount(classes[classes >= 0], minlength=len(network.labels)) / classes.size
    else:
        shares = probabilities(row)
    order = np.argsort(-shares, kind="stable")[:top]
    return tuple(Label(network.labels[number], float(shares[number])) for number in order if shares[number] > 0)


def _boxes(network: Network, found: Detections, frame: Frame, top: int) -> tuple[Label, ...]:
    shown = found.take(np.flatnonzero(found.scores >= _SHOWN)[:top])
    corners = frame.back(shown.corners)
    return tuple(
        Label(network.labels[number], float(score), (float(box[0]), float(box[1]), float(box[2]), float(box[3])))
        for box, score, number in zip(corners, shown.scores, shown.classes, strict=True)
    )
