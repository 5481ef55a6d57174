"""Labelled images, or inputs of any other kind, in memory: what every source of data is turned into."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.labels import class_order
from ofa_edge.data.pixels import resize
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import Values
from ofa_edge.data.sampling import stratified, stratified_split
from ofa_edge.errors import DataError


@dataclass(frozen=True)
class Samples:
    """What a network is run on: its own inputs, float32 [N, ...], or images (`Images`); class numbers int64 [N]."""

    values: NDArray[Any]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or not self.values.ndim or len(self.values) != len(self.labels):
            raise DataError(
                "inputs and labels do not fit together",
                f"inputs {self.values.dtype} {list(self.values.shape)}, {len(self.labels)} labels",
                "give float32 inputs [N, ...] and one label each",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def require_classes(self, count: int, what: str) -> None:
        """Check that every label is one of `count` classes: else an accuracy on these images means nothing.

        Raises:
            DataError: names the first that is not, in the words of `what`.
        """
        whole = np.issubdtype(self.labels.dtype, np.integer)
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= count)) if whole else np.arange(min(1, len(self)))
        if len(outside):
            first = int(outside[0])
            why = f"image {first} of {len(self)} is labelled {self.labels[first]}; there are {count} classes, from 0"
            raise DataError(f"a label outside the classes: {what}", why, "correct the labels of that data set")

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the shape, all values and all labels, in their order."""
        digest = hashlib.sha256(repr(self.values.shape).encode())
        digest.update(np.ascontiguousarray(self.values).data)
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """Of its values."""
        return self.values.nbytes

    def take(self, index: NDArray[np.int64]) -> Self:
        """Those of these indices, in that order. For "some N of them" there is `sample`."""
        return type(self)(self.values[index], self.labels[index])

    def sample(self, count: int | None, seed: int = 0) -> Self:
        """`count` of them by the one rule of `ofa_edge.data.sampling`, or all of them, in its order."""
        return self.take(stratified(self.labels, count, seed))


@dataclass(frozen=True)
class Images(Samples):
    """Images uint8 [N, H, W, C] with their class numbers int64 [N]."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or len(self.pixels) != len(self.labels):
            raise DataError(
                "images and labels do not fit together",
                f"images {self.pixels.dtype} {list(self.pixels.shape)}, {len(self.labels)} labels",
                "give uint8 images [N, H, W, C] and one label each",
            )

    @property
    def pixels(self) -> Pixels:
        """uint8 [N, H, W, C]."""
        return self.values

    def joined(self, others: "Images") -> "Images":
        """These and others of one size, in that order."""
        return Images(np.concatenate([self.pixels, others.pixels]), np.concatenate([self.labels, others.labels]))

    def resized(self, size: int) -> "Images":
        """The same images at another size."""
        return Images(resize(self.pixels, size), self.labels)


@dataclass(frozen=True)
class Dataset:
    """A training and a test set with the names of their classes.

    Attributes:
        name: what the data are called in a package's facts.
        train: training images.
        test: images that training never sees.
        class_names: by class number.
        notes: what the reader did that a user may want to know (files left out, a split made), a sentence each.
        values: what the files hold, where they were read as pictures.
        test_names: of the test images, where they have any: files, as they lie in the folder.
    """

    name: str
    train: Images
    test: Images
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    values: Values | None = None
    test_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, images in (("training", self.train), ("test", self.test)):
            images.require_classes(len(self.class_names), f"{part} images of {self.name}")

    @property
    def channels(self) -> int:
        """Values a pixel: 1 grey, 3 colour."""
        return int(self.train.pixels.shape[3])

    def split(self, held_out: int, seed: int) -> tuple[Images, Images]:
        """Training images and up to `held_out` others, each class in proportion in both; none loses its last image."""
        if not 0 < held_out < len(self.train):
            raise DataError(
                f"cannot hold out {held_out} images",
                f"the training set of {self.name} has {len(self.train)}",
                "hold out fewer",
            )
        kept, other = stratified_split(self.train.labels, held_out, seed)
        return self.train.take(kept), self.train.take(other)

    def in_order_of(self, labels: Sequence[str], whose: str = "supernet", *, some: bool = False) -> "Dataset":
        """The same images, their classes numbered as in a network's labels.

        Args:
            labels: the network's.
            whose: they are, for the error: "supernet" or "network".
            some: whether data without images of some classes will do.

        Raises:
            DataError: the classes are not those; what differs is named, with what to write into `labels.toml`.
        """
        order = np.array(class_order(self.class_names, labels, self.name, whose, some=some), dtype=np.int64)
        train, test = (Images(part.pixels, order[part.labels]) for part in (self.train, self.test))
        return dataclasses.replace(self, train=train, test=test, class_names=tuple(labels))


def class_counts(images: Images, classes: int) -> NDArray[np.int64]:
    """How many images of each class there are [classes], by class number; 0 for a class that none shows."""
    return np.bincount(images.labels, minlength=classes).astype(np.int64)
