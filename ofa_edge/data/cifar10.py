"""CIFAR-10 (Krizhevsky 2009) from its own files: the binary version, the python version, either archive, or pictures.

The binary version is records of 3,073 bytes: the label, then the red, green and blue planes of 32 x 32 pixels. The
python version holds the same in pickles, which are read as data and never run (`recorded_pickle`). Archives are read
where they are; nothing is extracted.
"""

import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.channels import to_channels
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.image_folder import Progress, load_image_folder
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED, Reading
from ofa_edge.data.recorded_pickle import read_recorded, recorded_bytes_array
from ofa_edge.errors import DataError
from ofa_edge.files import open_regular

CIFAR10_LABELS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)  # fmt: skip
_SIDE = 32
_PLANES = 3 * _SIDE * _SIDE
_PUBLISHED = (50_000, 10_000)
_LIMIT = 64 << 20  # bytes of one file: the published ones take half of this
_META = "batches.meta.txt"
_HINT = "use the published files of CIFAR-10, unchanged (cifar-10-binary.tar.gz or cifar-10-python.tar.gz)"

_Batch = tuple[NDArray[np.int64], Pixels]


@dataclass(frozen=True)
class _Version:
    """One way in which the data are published."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    read: Callable[[bytes, str], _Batch]

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test)


def load_cifar10(
    path: Path,
    channels: int | None = None,
    reading: Reading = AS_STORED,
    on_progress: Progress = lambda done, total: None,
) -> Dataset:
    """CIFAR-10, its images as they are: 32 x 32.

    Args:
        path: the folder of the binary or the python version, the folder that holds that folder, either .tar.gz or a
            folder that holds one, or a folder of pictures `train/CLASS/*`, `test/CLASS/*`. Where there are several,
            the first of this list is taken. Pictures
            are named after their folder: they need not be the published pixels.
        channels: 3 (as they are) or 1.
        reading: how values become pixels.
        on_progress: called with images read and images in all, for pictures only.

    Raises:
        DataError: nothing of that kind is there, or a file is missing or damaged; it is named.
    """
    where = _find(path)
    if where is None:
        if any((path / name).is_dir() for name in ("train", "test", "val")):
            return load_image_folder(path, channels or 3, _SIDE, reading=reading, on_progress=on_progress)
        raise DataError("no CIFAR-10 here", f"{path} holds none of its files", _HINT)
    contents = _read_archive(where) if where.is_file() else _read_folder(where)
    version = next((version for version in _VERSIONS if any(name in contents for name in version.files)), None)
    if version is None:
        raise DataError("no CIFAR-10 here", f"{where} holds none of its files", _HINT)
    missing = [name for name in version.files if name not in contents]
    if missing:
        raise DataError("CIFAR-10 is incomplete", f"{where}: {missing[0]} is missing", _HINT)
    parts = []
    for names in (version.train, (version.test,)):
        batches = [_checked(version.read(contents[name], f"{where}: {name}"), f"{where}: {name}") for name in names]
        pixels = np.concatenate([pixels for _, pixels in batches])
        labels = np.concatenate([labels for labels, _ in batches])
        parts.append(Images(to_channels(reading.of_pixels(pixels), channels), labels))
    classes = _class_names(contents[_META], f"{where}: {_META}") if _META in contents else CIFAR10_LABELS
    return Dataset("cifar-10", parts[0], parts[1], classes, _notes(parts[0], parts[1], where))


def _find(path: Path) -> Path | None:
    """The folder or archive that `path` is or holds, binary version first."""
    if path.is_file():
        return path
    for version in _VERSIONS:
        for folder in (path, path / version.folder):
            if any((folder / name).is_file() for name in version.files):
                return folder
    return next((path / version.archive for version in _VERSIONS if (path / version.archive).is_file()), None)


def _wanted() -> set[str]:
    return {_META, *(name for version in _VERSIONS for name in version.files)}


def _read_folder(folder: Path) -> Mapping[str, bytes]:
    contents = {}
    for name in sorted(_wanted()):
        if (folder / name).is_file():
            try:
                with open_regular(folder / name) as file:
                    contents[name] = file.read(_LIMIT)
            except OSError as error:
                raise DataError("damaged data file", f"{folder / name}: {error.strerror}", _HINT) from error
    return contents


def _read_archive(path: Path) -> Mapping[str, bytes]:
    """The wanted files of a tar archive, by their last name. Links and anything else in it are passed over."""
    contents = {}
    wanted = _wanted()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name in wanted:
                    file = archive.extractfile(member)
                    contents[name] = file.read(_LIMIT) if file else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError("damaged data file", f"{path}: {error}", _HINT) from error
    return contents


def _read_binary(raw: bytes, where: str) -> _Batch:
    if not raw or len(raw) % (1 + _PLANES):
        raise DataError("damaged data file", f"{where}: {len(raw)} bytes are not whole records of {1 + _PLANES}", _HINT)
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 1 + _PLANES)
    return records[:, 0].astype(np.int64), _hwc(records[:, 1:])


def _read_python(raw: bytes, where: str) -> _Batch:
    content = read_recorded(raw, where)
    if not isinstance(content, dict):
        raise DataError("damaged data file", f"{where}: it holds no dictionary", _HINT)
    by_name = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    labels, planes = by_name.get("labels"), recorded_bytes_array(by_name.get("data"), where)
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError("damaged data file", f"{where}: its labels are not a list of numbers", _HINT)
    if planes.shape != (len(labels), _PLANES):
        raise DataError("damaged data file", f"{where}: {len(labels)} labels, data of {planes.shape}", _HINT)
    # Clipped, as a number beyond 64 bits would not fit the array; out of range either way.
    return np.array([min(max(label, -1), 10) for label in labels], dtype=np.int64), _hwc(planes)


def _hwc(planes: Pixels) -> Pixels:
    return np.ascontiguousarray(planes.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def _checked(batch: _Batch, where: str) -> _Batch:
    labels = batch[0]
    if not len(labels) or labels.min() < 0 or labels.max() > 9:
        found = f"from {labels.min()} to {labels.max()}" if len(labels) else "none"
        raise DataError("damaged data file", f"{where}: labels are 0 to 9, here {found}", _HINT)
    return batch


def _class_names(raw: bytes, where: str) -> tuple[str, ...]:
    names = tuple(raw.decode("utf-8", errors="replace").split())
    if len(names) != 10 or len(set(names)) != 10:
        raise DataError("damaged data file", f"{where}: {len(names)} names of classes, wanted 10", _HINT)
    return names


def _notes(train: Images, test: Images, where: Path) -> tuple[str, ...]:
    if (len(train), len(test)) == _PUBLISHED:
        return ()
    return (f"{where}: {len(train)} training and {len(test)} test images, where CIFAR-10 has 50,000 and 10,000",)


_BINARY = _Version(
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test_batch.bin",
    _read_binary,
)
_PYTHON = _Version(
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test_batch",
    _read_python,
)
_VERSIONS = (_BINARY, _PYTHON)
