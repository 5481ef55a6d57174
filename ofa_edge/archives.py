"""What lies in zip archives that others made: sizes are held against the file before any memory is asked for."""

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.files import open_regular

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError)
"""What Python's reader raises for archives that are damaged, encrypted, or packed in ways that nobody has."""

_ALWAYS = 256 << 20  # bytes that any archive may unpack to
_RATIO = 64  # or so many times its own size: images of one colour pack that well, bombs a thousand times
_NPY = ".npy"


def zip_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One file of an archive. Raises KeyError where it has none, those of DAMAGED_ZIP for more than `limit` bytes."""
    size = archive.getinfo(name).file_size
    if size > limit:
        raise zipfile.BadZipFile(f"{name} unpacks to {size} bytes, at most {limit} are read")
    return archive.read(name)


def read_arrays(path: Path, only: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file, or those of these names; whatever else it holds is passed over.

    Raises:
        OSError: it cannot be read, or is no plain file.
        ValueError: it is damaged, holds objects, or promises more than it can hold.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                members = {each.filename.removesuffix(_NPY): each for each in archive.infolist()}
                wanted = {name: each for name, each in members.items() if only is None or name in only}
                total, most = sum(each.file_size for each in wanted.values()), max(_ALWAYS, _RATIO * size)
                if total > most:
                    raise ValueError(f"{size} bytes that unpack to {total}, at most {most} are")
                return {name: _array(archive, each) for name, each in wanted.items() if each.filename.endswith(_NPY)}
        except DAMAGED_ZIP as error:
            raise ValueError(f"a damaged archive: {error}") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        try:
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[np.lib.format.read_magic(file)](file)
            held = member.file_size - file.tell()
        except (
            KeyError,
            SyntaxError,
            TypeError,
            OverflowError,
            MemoryError,
            RecursionError,
            tokenize.TokenError,
        ) as error:
            raise ValueError(f"{member.filename}: a damaged header: {error}") from error
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds objects, which are not read")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.filename}: {dtype} {list(shape)} is not what its {held} bytes hold")
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
