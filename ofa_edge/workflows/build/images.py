"""The images of a build: for calibration, for choosing among candidates, and for the ladder."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import Truth
from ofa_edge.data.dataset import Dataset, Images, Samples
from ofa_edge.data.pixels import resize
from ofa_edge.data.sampling import stratified_split
from ofa_edge.errors import ConfigError
from ofa_edge.records.classes import Split
from ofa_edge.supernet import zoo
from ofa_edge.supernet.own_data import open_for
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.package_data import CALIBRATION_IMAGES, VALIDATION_IMAGES
from ofa_edge.vocabulary import PictureKind

_SYNTHETIC = (64, 64, 16)


S_co = TypeVar("S_co", bound=Samples, covariant=True)


@dataclass(frozen=True)
class BuildData(Generic[S_co]):
    """Three sets of images, or of what else the network takes.

    Attributes:
        calibration: training images, for batch norm and int8 ranges.
        validation: for choosing among candidates; other images, but where a folder has fewer than 500 to train on.
        test: for the ladder and the accuracy gate.
        source: what they are, in words.
        labelled: whether their labels mean anything.
        notes: what may be wrong with them, a sentence each.
        own: whether the user gave them.
        truth: of the test images, where it is more than a class each.
        test_names: files of the test images, where they were read from files.
        kinds: of random images, where they are drawn for a given network.
    """

    calibration: S_co
    validation: S_co
    test: S_co
    source: str
    labelled: bool = True
    notes: tuple[str, ...] = ()
    own: bool = False
    truth: Truth | None = None
    test_names: tuple[str, ...] = ()
    kinds: tuple[PictureKind, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether anything says what is right of the test images."""
        return self.labelled or self.truth is not None

    @property
    def test_labels(self) -> NDArray[np.int64] | None:
        """The test images' labels, or None where they mean nothing."""
        return self.test.labels if self.labelled else None

    @property
    def labels(self) -> dict[Split, NDArray[np.int64]] | None:
        """The class numbers of each set's images, or None where they mean nothing."""
        if not self.labelled:
            return None
        return {"calibration": self.calibration.labels, "validation": self.validation.labels, "test": self.test.labels}

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each set's pixels and labels, and of what is right of the test set where that is more."""
        splits = ("calibration", "validation", "test", *(() if self.truth is None else ("truth",)))
        return {split: self.of(split).digest for split in splits}

    def of(self, split: str) -> Samples | Truth:
        """One of its parts, by its name."""
        found: Samples | Truth = getattr(self, split)
        return found


def build_data(package: SupernetPackage, folder: Path | None, seed: int, *, needed: bool = True) -> BuildData[Images]:
    """The images of a build: of the user's folder, of the package, or random ones for random weights.

    Args:
        package: whose classes they are.
        folder: as after --data.
        seed: of the choice among a folder's images.
        needed: whether anything will be measured; a package without images will do where not.

    Raises:
        ConfigError: a folder for random weights.
        DataError: see `package_data` and `folder_data`.
    """
    if folder and not package.trained:
        raise ConfigError(
            "--data with random weights", "accuracy on them would mean nothing", "leave out --data or --untrained"
        )
    if not package.trained or not (needed or package.file(zoo.IMAGES)):
        return synthetic_data(package)
    return folder_data(folder, package, seed) if folder else package_data(package)


def package_data(package: SupernetPackage) -> BuildData[Images]:
    """The images inside a supernet's package. Raises DataError for a label that is none of its classes."""
    splits = {split: package.images(split) for split in ("calibration", "validation", "test")}
    for split, images in splits.items():
        images.require_classes(len(package.labels), f"{split} images of '{package.name}'")
    calibration, validation, test = splits.values()
    return BuildData(
        calibration.sample(CALIBRATION_IMAGES),
        validation.sample(VALIDATION_IMAGES),
        test,
        f"{package.dataset}: {len(test)} test images",
    )


def folder_data(folder: Path, package: SupernetPackage, seed: int) -> BuildData[Images]:
    """A user's image folder: its training part gives calibration and validation images, the other is the test set.

    Raises:
        DataError: see `open_for`.
    """
    return of_dataset(open_for(package, folder=folder), folder, seed)


def of_dataset(data: Dataset, folder: Path, seed: int) -> BuildData[Images]:
    """The sets of a build out of a user's folder, as it was read."""
    train, test = data.train, data.test
    rest, chosen = stratified_split(train.labels, min(CALIBRATION_IMAGES, len(train) // 2), seed)
    calibration, validation = train.take(chosen).sample(None, seed), train.take(rest).sample(VALIDATION_IMAGES, seed)
    if len(train) < CALIBRATION_IMAGES:  # too few for two sets: batch norm asks for no labels, choosing does
        calibration, validation = train.sample(CALIBRATION_IMAGES, seed), train.sample(None, seed)
    source = f"{folder.name}: {len(test)} test images"
    return BuildData(calibration, validation, test, source, notes=data.notes, own=True, test_names=data.test_names)


def synthetic_data(package: SupernetPackage) -> BuildData[Images]:
    """Random images for an untrained supernet: they exercise every stage and prove no accuracy."""
    size = package.space.resolutions[-1]
    return random_images((size, size), package.space.in_channels)


def random_images(shape: tuple[int, int], channels: int) -> BuildData[Images]:
    """Smooth random images of so many rows and columns."""
    rng = np.random.default_rng(0)

    def make(count: int) -> Images:
        coarse = rng.integers(0, 256, size=(count, 16, 16, channels), dtype=np.uint8)
        return Images(resize(coarse, *shape), np.zeros(count, dtype=np.int64))

    calibration, validation, test = (make(count) for count in _SYNTHETIC)
    return BuildData(calibration, validation, test, f"{len(test)} random images", labelled=False)
