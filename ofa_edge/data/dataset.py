"""Labelled images in memory: what every source of data is turned into."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.preprocess import Pixels, resize
from ofa_edge.errors import DataError
from ofa_edge.files import sha256_bytes


@dataclass(frozen=True)
class Images:
    """Images uint8 [N, H, W, C] with their class numbers int64 [N]."""

    pixels: Pixels
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or len(self.pixels) != len(self.labels):
            raise DataError(
                "images and labels do not fit together",
                f"images {self.pixels.dtype} {list(self.pixels.shape)}, {len(self.labels)} labels",
                "give uint8 images [N, H, W, C] and one label each",
            )

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the shape, all labels, and the pixels of a thousand images spread over the set."""
        some = self.pixels[:: max(1, len(self.pixels) // 1000)]
        return sha256_bytes(repr(self.pixels.shape).encode() + self.labels.tobytes() + some.tobytes())

    def take(self, index: NDArray[np.int64] | slice) -> "Images":
        """A part of the set."""
        return Images(self.pixels[index], self.labels[index])

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
    """

    name: str
    train: Images
    test: Images
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Values a pixel: 1 grey, 3 colour."""
        return int(self.train.pixels.shape[3])

    def split(self, held_out: int, seed: int) -> tuple[Images, Images]:
        """Training images and `held_out` others taken from the training set by a seeded permutation."""
        order = np.random.default_rng(seed).permutation(len(self.train))
        if not 0 < held_out < len(order):
            raise DataError(
                f"cannot hold out {held_out} images",
                f"the training set of {self.name} has {len(order)}",
                "hold out fewer",
            )
        return self.train.take(np.sort(order[held_out:])), self.train.take(np.sort(order[:held_out]))
