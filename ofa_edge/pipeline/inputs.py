"""The images of a build: for calibration, for choosing among candidates, and for the ladder."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.data.preprocess import resize
from ofa_edge.errors import DataError
from ofa_edge.files import sha256_bytes
from ofa_edge.supernet.zoo import SupernetPackage

VALIDATION_IMAGES = 4000
CALIBRATION_IMAGES = 500
_SYNTHETIC_TEST, _SYNTHETIC_CALIBRATION = 16, 64


@dataclass(frozen=True)
class BuildData:
    """Three disjoint sets of images.

    Attributes:
        calibration: training images, for batch norm and int8 ranges.
        validation: held out of training, for choosing among candidates.
        test: for the ladder and the accuracy gate.
        source: what they are, in words.
        labelled: whether their labels mean anything.
    """

    calibration: Images
    validation: Images
    test: Images
    source: str
    labelled: bool = True

    @property
    def test_labels(self) -> NDArray[np.int64] | None:
        """The test images' labels, or None where they mean nothing."""
        return self.test.labels if self.labelled else None

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each set's pixels and labels."""
        return {split: digest(getattr(self, split)) for split in ("calibration", "validation", "test")}


def digest(images: Images) -> str:
    """SHA-256 over shape, pixels and labels."""
    return sha256_bytes(repr(images.pixels.shape).encode() + images.pixels.tobytes() + images.labels.tobytes())


def package_data(package: SupernetPackage) -> BuildData:
    """The images inside a supernet's package."""
    calibration, validation, test = (package.images(split) for split in ("calibration", "validation", "test"))
    return BuildData(
        calibration.take(slice(CALIBRATION_IMAGES)),
        validation.take(slice(VALIDATION_IMAGES)),
        test,
        f"{package.dataset}: {len(test)} test images",
    )


def folder_data(folder: Path, package: SupernetPackage, seed: int) -> BuildData:
    """A user's image folder: its training part gives calibration and validation images, the other is the test set.

    Raises:
        DataError: its classes are not the supernet's, or there are too few images.
    """
    data = load_image_folder(folder, package.space.in_channels, package.space.resolutions[-1])
    if set(data.class_names) != set(package.labels):
        strange = sorted(set(data.class_names) ^ set(package.labels))
        raise DataError(
            "the data's classes are not the supernet's",
            f"{folder}: differs in {', '.join(strange[:5])}",
            f"name the folders after the labels: {', '.join(package.labels[:5])}, ...",
        )
    order = np.array([package.labels.index(name) for name in data.class_names], dtype=np.int64)
    train, test = (Images(part.pixels, order[part.labels]) for part in (data.train, data.test))
    needed = CALIBRATION_IMAGES // 2
    if len(train) < 2 * needed:
        raise DataError("too few training images", f"{folder}: {len(train)}, wanted {2 * needed}", "add images")
    shuffled = np.random.default_rng(seed).permutation(len(train))
    cut = min(CALIBRATION_IMAGES, len(train) // 2)
    calibration, validation = train.take(shuffled[:cut]), train.take(shuffled[cut : cut + VALIDATION_IMAGES])
    return BuildData(calibration, validation, test, f"{folder.name}: {len(test)} test images")


def synthetic_data(package: SupernetPackage) -> BuildData:
    """Random smooth images for an untrained supernet: they exercise every stage and prove no accuracy."""
    rng = np.random.default_rng(0)
    size, channels = package.space.resolutions[-1], package.space.in_channels

    def make(count: int) -> Images:
        coarse = rng.integers(0, 256, size=(count, 16, 16, channels), dtype=np.uint8)
        return Images(resize(coarse, size), np.zeros(count, dtype=np.int64))

    calibration, test = make(_SYNTHETIC_CALIBRATION), make(_SYNTHETIC_TEST)
    return BuildData(calibration, test, test, f"{len(test)} random images", labelled=False)
