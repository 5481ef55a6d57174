"""Fashion-MNIST (Xiao et al., arXiv:1708.07747) from its own four files."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from ofa_edge.data.channels import to_channels
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED, Reading
from ofa_edge.errors import DataError
from ofa_edge.files import open_regular

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
_LARGEST = 100_000_000  # bytes of one of its files, unpacked; the largest has half of that
FASHION_MNIST_FOLDERS = (Path("/usr/share/datasets/fashion-mnist"),)


def load_fashion_mnist(
    folder: Path | None = None, channels: int | None = None, reading: Reading = AS_STORED
) -> Dataset:
    """Fashion-MNIST from its four IDX files (Debian package dataset-fashion-mnist, or a download of the originals).

    Args:
        folder: where the files are; None looks where Debian's package puts them.
        channels: 1 (as they are) or 3.
        reading: how values become pixels.

    Raises:
        DataError: a file is missing or damaged; it is named.
    """
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
        parts.append(Images(to_channels(reading.of_pixels(pixels[..., None]), channels), labels.astype(np.int64)))
    return Dataset("fashion-mnist", parts[0], parts[1], FASHION_MNIST_LABELS)


def _read_idx(path: Path, dimensions: int) -> Pixels:
    """An IDX file of unsigned bytes: magic 0x0000 08 DD, big-endian sizes, data."""
    hint = "use the four .gz files of Fashion-MNIST, unchanged"
    try:
        with open_regular(path) as packed, gzip.GzipFile(fileobj=packed) as file:
            raw = file.read(_LARGEST)
    except FileNotFoundError as error:
        raise DataError("not a Fashion-MNIST folder", f"{path} is missing", hint) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("damaged data file", f"{path}: {error}", hint) from error
    header = 4 + 4 * dimensions
    shape = tuple(int(item) for item in np.frombuffer(raw[4:header], ">u4"))
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) != header + int(np.prod(shape)):
        raise DataError("damaged data file", f"{path}: not an IDX file of {dimensions} dimensions", hint)
    return np.asarray(np.frombuffer(raw, np.uint8, offset=header).reshape(shape))
