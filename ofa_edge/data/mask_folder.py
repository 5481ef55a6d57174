"""Images beside masks: a picture whose values are the classes of pixels, of the same name in another folder.

`images/train` and `masks/train` (with `val` beside `train`), or `train/images` and `train/masks`, or `images` and
`masks` alone; the masks' folder may also be called labels, annotations or SegmentationClass, the images' JPEGImages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import UNLABELLED, Masks
from ofa_edge.data.dataset import Images
from ofa_edge.data.fitted import read_fitted
from ofa_edge.data.marked import PARTS, train_and_test
from ofa_edge.data.memory import require_bytes
from ofa_edge.data.picture import SUFFIXES, opened
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError

_PARTS = {**PARTS, "training": "train"}
_IMAGES, _MASKS = ("images", "JPEGImages"), ("masks", "labels", "annotations", "SegmentationClass")
_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
_HINT = "images/train/x.jpg beside masks/train/x.png, whose values are the numbers of classes; 255 is left out"
_OUTSIDE = -1  # of a point of the frame that is not of the picture
Pair = tuple[Path, Path]


@dataclass(frozen=True)
class MaskedSet:
    """Files of images and of their masks, in two parts; the same twice where there is one."""

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def find_masks(folder: Path) -> MaskedSet:
    """The images of a folder and their masks.

    Raises:
        DataError: the folder has no such parts, or an image no mask; the first is named.
    """
    places: dict[str, Pair] = {}
    for images in _IMAGES:
        for masks in _MASKS:
            for word, part in _PARTS.items():
                for one, other in (
                    (folder / images / word, folder / masks / word),
                    (folder / word / images, folder / word / masks),
                ):
                    if one.is_dir() and other.is_dir():
                        places.setdefault(part, (one, other))
            if (folder / images).is_dir() and (folder / masks).is_dir():
                places.setdefault("all", (folder / images, folder / masks))
    if set(places) - {"all"}:
        places.pop("all", None)
    if not places:
        raise DataError("not a folder of images with masks", f"{folder}: no images/ and masks/", _HINT)
    notes = list[str]()
    read = {part: _pairs(*pair, notes) for part, pair in places.items()}
    return MaskedSet(*train_and_test(read), tuple(notes))


def _pairs(images: Path, masks: Path, notes: list[str]) -> tuple[Pair, ...]:
    of_stem = {path.relative_to(masks).with_suffix(""): path for path in _files(masks)}
    pairs, without = [], []
    for path in _files(images):
        stem = path.relative_to(images).with_suffix("")
        mask = of_stem.pop(stem, None) or of_stem.pop(stem.with_name(f"{stem.name}_mask"), None)
        if mask is None:
            without.append(path)
        else:
            pairs.append((path, mask))
    if without or not pairs:
        what = f"{len(without)} images without a mask" if without else "no images"
        raise DataError(what, f"{without[0] if without else images}: none of that name in {masks}", _HINT)
    if of_stem:
        notes.append(
            f"{masks}: {len(of_stem)} masks without an image left out, {next(iter(of_stem.values())).name} first"
        )
    return tuple(pairs)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def read_masked(
    pairs: Sequence[Pair], classes: int, preprocessing: Preprocessing, notes: list[str], *, masks: bool
) -> tuple[Images, Masks | None]:
    """Images in a network's frame, and the class of each of its pixels: of the nearest of the mask's.

    Args:
        pairs: files of one set.
        classes: how many there are.
        preprocessing: of the network.
        notes: gets what a user may want to know.
        masks: whether they are wanted.

    Raises:
        DataError: a file cannot be read; a mask is of another size than its image, in colours, or has values that are
            no class; it is named.
    """
    (rows, columns), channels = preprocessing.shape, preprocessing.channels
    require_bytes(len(pairs) * rows * columns * (channels + 2), f"{len(pairs)} images", "use fewer of them")
    pixels = np.empty((len(pairs), rows, columns, channels), np.uint8)
    values = np.full((len(pairs), rows, columns) if masks else 0, _OUTSIDE, np.int16)
    seen = set[int]()
    for place, (path, mask) in enumerate(pairs):
        pixels[place], frame = read_fitted(path, channels, (rows, columns), preprocessing.fit)
        if masks:
            own = _mask(mask, frame.size, classes)
            seen.update(np.unique(own).tolist())
            values[place] = frame.nearest(own, _OUTSIDE)
    images = Images(pixels, np.zeros(len(pairs), np.int64))
    if not masks:
        return images, None
    if seen == {0, UNLABELLED} and classes == 2:
        notes.append("masks hold 0 and 255 only: 255 is the second class")
        values[values == UNLABELLED] = 1
    elif len(seen - {UNLABELLED}) < 2 <= classes:
        words = f"all values of {len(pairs)} masks are among {sorted(seen)}, and 255 counts neither way"
        raise DataError("masks that show one class", f"{pairs[0][1].parent}: {words}", _HINT)
    return images, Masks(np.where(values == _OUTSIDE, UNLABELLED, values).astype(np.uint8))


def _mask(path: Path, size: tuple[int, int], classes: int) -> NDArray[np.integer]:
    with opened(path) as image:
        if image.mode not in _MODES:
            why = f"{path}: {image.mode}; a colour for each class says nothing of their numbers"
            raise DataError("a mask in colours", why, _HINT)
        if image.size != size:
            words = f"{path} is {image.width} x {image.height}, its image {size[0]} x {size[1]}"
            raise DataError("a mask of another size than its image", words, "save both at the same size")
        values = np.asarray(image).astype(np.int64)
    strange = np.unique(values[(values >= classes) & (values != UNLABELLED) | (values < 0)])
    if len(strange):
        why = f"{path}: {', '.join(map(str, strange[:5]))}; there are {classes} classes, from 0"
        raise DataError("a mask with values that are no class", why, f"{_HINT}; or --labels FILE with all classes")
    return values
