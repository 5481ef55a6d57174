"""What is right for images that are more than one class each: objects in boxes, or a class for each pixel."""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.boxes import Corners, Detections

UNLABELLED = 255  # of a pixel that counts neither way


@dataclass(frozen=True, eq=False)
class Boxes:
    """Objects in images, in pixels of a network's input.

    Attributes:
        images: number of each object's image [M].
        corners: [M, 4].
        classes: numbers [M].
        crowd: whether a box stands for many objects [M].
        content: where each image's picture lies in the input, corners [N, 4]: all of it but what letterboxing adds.
    """

    images: NDArray[np.int64]
    corners: Corners
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    content: Corners

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.content)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        digest = hashlib.sha256()
        for part in (self.images, self.corners, self.classes, self.crowd, self.content):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """Of its boxes."""
        return self.corners.nbytes

    def take(self, index: NDArray[np.int64]) -> "Boxes":
        """The objects of these images, in that order."""
        mine = [np.flatnonzero(self.images == image) for image in index]
        objects = np.concatenate([*mine, np.zeros(0, np.int64)]).astype(np.int64)
        images = np.repeat(np.arange(len(index)), [len(each) for each in mine])
        return Boxes(images, self.corners[objects], self.classes[objects], self.crowd[objects], self.content[index])

    def inside(self, image: int, found: Detections) -> Detections:
        """Detections cut at the borders of an image's picture."""
        low, high = self.content[image, :2], self.content[image, 2:]
        corners = np.clip(found.corners, np.tile(low, 2), np.tile(high, 2))
        return Detections(corners, found.scores, found.classes)


@dataclass(frozen=True, eq=False)
class Masks:
    """The class of each pixel, uint8 [N, H, W] at the size of a network's input; 255 counts neither way."""

    values: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.values)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(np.ascontiguousarray(self.values).data).hexdigest()

    @property
    def nbytes(self) -> int:
        """Of its pixels."""
        return self.values.nbytes

    def take(self, index: NDArray[np.int64]) -> "Masks":
        """Those of these images, in that order."""
        return Masks(self.values[index])


Truth = Boxes | Masks
