"""Images with their objects as files say it, before a pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PARTS = {"train": "train", "valid": "val", "validation": "val", "val": "val", "test": "test"}
"""What parts of a set are called, and which they are."""

T = TypeVar("T")


@dataclass(frozen=True)
class Marked:
    """One image's file, and its objects.

    Attributes:
        path: of the image.
        classes: numbers among the set's names, one for each object.
        corners: of each, (x1, y1, x2, y2).
        crowd: whether each stands for many objects.
        size: width and height that the corners are in; None: they are shares of the picture's, 0..1.
    """

    path: Path
    classes: tuple[int, ...]
    corners: tuple[tuple[float, float, float, float], ...]
    crowd: tuple[bool, ...]
    size: tuple[int, int] | None


@dataclass(frozen=True)
class MarkedSet:
    """Two parts of images.

    Attributes:
        names: of the classes of which there is an object.
        train: to set int8 ranges and to choose by.
        test: to be judged on; the same as `train` where there is one part.
        notes: what was done that a user may want to know, a sentence each.
        known: of all classes that the files name, by number; tools write some for their own use.
    """

    names: tuple[str, ...]
    train: tuple[Marked, ...]
    test: tuple[Marked, ...]
    notes: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def train_and_test(parts: Mapping[str, tuple[T, ...]]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """What to set ranges with, and what to be judged on, of the parts that there are; "all" is a set without parts."""
    train = next(parts[name] for name in ("train", "all", "val", "test") if name in parts)
    return train, next(parts[name] for name in ("val", "test", "all", "train") if name in parts)
