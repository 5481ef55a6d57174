"""Labelled images in memory, and where they come from: Fashion-MNIST's own files, or a folder of images by class."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.preprocess import Pixels, resize
from ofa_edge.errors import DataError

FASHION_MNIST_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)  # fmt: skip
FASHION_MNIST_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"),)
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm"}


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

    def take(self, index: NDArray[np.int64] | slice) -> "Images":
        """A part of the set."""
        return Images(self.pixels[index], self.labels[index])

    def resized(self, size: int) -> "Images":
        """The same images at another size."""
        return Images(resize(self.pixels, size), self.labels)


@dataclass(frozen=True)
class Dataset:
    """A training and a test set with the names of their classes."""

    name: str
    train: Images
    test: Images
    class_names: tuple[str, ...]

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


def load_fashion_mnist(folder: Path | None = None) -> Dataset:
    """Fashion-MNIST from its four IDX files (Debian package dataset-fashion-mnist, or a download of the originals)."""
    where = folder or next((path for path in FASHION_MNIST_FOLDERS if path.is_dir()), FASHION_MNIST_FOLDERS[0])
    if not where.is_dir():
        raise DataError(
            "Fashion-MNIST is not on this machine",
            f"{where} does not exist",
            "apt-get install dataset-fashion-mnist, or give the folder of its four .gz files with --data",
        )
    parts = []
    for stem in ("train", "t10k"):
        pixels = _read_idx(where / f"{stem}-images-idx3-ubyte.gz", 3)
        labels = _read_idx(where / f"{stem}-labels-idx1-ubyte.gz", 1)
        parts.append(Images(pixels[..., None], labels.astype(np.int64)))
    return Dataset("fashion-mnist", parts[0], parts[1], FASHION_MNIST_LABELS)


def _read_idx(path: Path, dimensions: int) -> Pixels:
    """An IDX file of unsigned bytes: magic 0x0000 08 DD, big-endian sizes, data."""
    hint = "use the four .gz files of Fashion-MNIST, unchanged"
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError("not a Fashion-MNIST folder", f"{path} is missing", hint) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("damaged data file", f"{path}: {error}", hint) from error
    header = 4 + 4 * dimensions
    shape = tuple(int(item) for item in np.frombuffer(raw[4:header], ">u4"))
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) != header + int(np.prod(shape)):
        raise DataError("damaged data file", f"{path}: not an IDX file of {dimensions} dimensions", hint)
    return np.asarray(np.frombuffer(raw, np.uint8, offset=header).reshape(shape))


def load_image_folder(folder: Path, channels: int, size: int) -> Dataset:
    """A folder `train/CLASS/*.png|jpg` and `val/` or `test/` likewise.

    Each image is cropped to its central square and resized to `size`; grey or colour as `channels` is 1 or 3.

    Raises:
        DataError: a folder is missing or empty, has one class, or holds an image that cannot be read (named).
    """
    held_out = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if held_out is None or not (folder / "train").is_dir():
        raise DataError(
            "not an image folder",
            f"{folder} wants train/ and val/ (or test/), each with one folder for each class",
            "arrange the images as train/CLASS/x.png and val/CLASS/y.png",
        )
    names = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    if len(names) < 2:
        raise DataError("too few classes", f"{folder / 'train'} has {len(names)}", "add a folder for each class")
    strange = {path.name for path in held_out.iterdir() if path.is_dir()} - set(names)
    if strange:
        raise DataError("classes differ", f"{held_out} has {sorted(strange)}, train/ has not", "use the same classes")
    train, test = (_read_classes(part, names, channels, size) for part in (folder / "train", held_out))
    return Dataset(folder.name, train, test, tuple(names))


def _read_classes(folder: Path, names: Sequence[str], channels: int, size: int) -> Images:
    pixels: list[Pixels] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        files = sorted(path for path in (folder / name).glob("*") if path.suffix.lower() in _SUFFIXES)
        if not files:
            raise DataError(
                "a class without images", f"{folder / name}", f"add images ({', '.join(sorted(_SUFFIXES))})"
            )
        pixels += [_read_image(path, channels, size) for path in files]
        labels += [label] * len(files)
    return Images(np.stack(pixels), np.array(labels, dtype=np.int64))


def _read_image(path: Path, channels: int, size: int) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            array: Pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError("an image that cannot be read", f"{path}: {error}", "remove or replace the file") from error
    array = array.reshape(*array.shape[:2], -1)
    side = min(array.shape[:2])
    top, left = (array.shape[0] - side) // 2, (array.shape[1] - side) // 2
    square = resize(array[None, top : top + side, left : left + side], size)
    return square.reshape(square.shape[1:])
