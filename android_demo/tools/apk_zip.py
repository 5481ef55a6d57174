"""The APK as a ZIP: sorted entries, one fixed time, the smallest deflate there is, and sizes by part.

The same inputs give the same bytes. Python's zipfile reads it; it is written here because zipfile takes no data that
were compressed elsewhere: libdeflate makes the runtime library 4 % smaller than zlib's best.
"""

import struct
import subprocess
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConversionError
from ofa_edge.files import sha256_bytes, write_bytes

_TIME, _DATE = 0x0821, 0x0221  # 1981-01-01 01:01:02, what Android's own tools write
_STORED = (".arsc", ".png", ".webp")  # the resource table must lie uncompressed; pictures are so already
_STORE, _DEFLATE = 0, 8
_KEPT_FROM = 10_000_000  # bytes: what takes seconds to compress is kept for the next build
_UTF8_NAMES = 0x800
_GZIP_HEADER, _GZIP_TRAILER = 10, 8  # bytes around the deflate stream
_PARTS = (  # in this order: the first that fits
    ("runtime (liblitert-lm.so, arm64)", "lib/arm64-v8a/liblitert-lm.so"),
    ("shim (libtflite_jni.so, arm64)", "lib/"),
    ("code (classes.dex)", "classes"),
    ("models", "assets/models/"),
    ("sample images", "assets/samples/"),
    ("licences", "assets/licenses/"),
    ("resources and manifest", ""),
)


@dataclass(frozen=True)
class _Entry:
    """One file of the ZIP and where it begins."""

    name: bytes
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    def header(self, central: bool) -> bytes:
        """The record before the content, or in the directory at the end."""
        common = struct.pack(
            "<HHHHHIIIHH",
            *(20, _UTF8_NAMES, self.method, _TIME, _DATE, self.crc, self.packed, self.size, len(self.name), 0),
        )
        if not central:
            return b"PK\x03\x04" + common + self.name
        return (
            b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, self.offset) + self.name
        )


def write_zip(out: Path, files: Mapping[str, bytes], kept: Path) -> None:
    """Write an unaligned ZIP.

    Args:
        out: the file.
        files: name to content.
        kept: folder where the compressed form of large files is kept for the next time.
    """
    entries, position = [], 0
    with out.open("wb") as file:
        for name in sorted(files, key=lambda name: (name != "AndroidManifest.xml", name)):
            data = files[name]
            packed = data if name.endswith(_STORED) else _deflated(data, kept)
            method = _DEFLATE if len(packed) < len(data) else _STORE
            packed = packed if method else data
            entry = _Entry(name.encode(), method, zlib.crc32(data), len(packed), len(data), position)
            entries.append(entry)
            position += file.write(entry.header(central=False)) + file.write(packed)
        directory = b"".join(entry.header(central=True) for entry in entries)
        count = len(entries)
        file.write(directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), position, 0))


def _deflated(data: bytes, kept: Path) -> bytes:
    """A raw deflate stream of `data`."""
    path = kept / f"{sha256_bytes(data)}.deflate" if len(data) >= _KEPT_FROM else None
    if path is not None and path.is_file():
        packed = path.read_bytes()
        if _inflates_to(packed, data):
            return packed
    done = subprocess.run(["libdeflate-gzip", "-12", "-c"], input=data, capture_output=True, check=False)
    packed = done.stdout[_GZIP_HEADER:-_GZIP_TRAILER]
    if not _inflates_to(packed, data):
        said = done.stderr.decode(errors="replace").strip() or "it wrote no plain gzip stream"
        raise ConversionError("libdeflate-gzip failed", said, "apt-get install --reinstall libdeflate-tools")
    if path is not None:
        write_bytes(path, packed)
    return packed


def _inflates_to(packed: bytes, data: bytes) -> bool:
    try:
        return zlib.decompress(packed, wbits=-15) == data
    except zlib.error:
        return False


def read_zip(path: Path) -> dict[str, bytes]:
    """Every file of a ZIP."""
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


def sizes_by_part(path: Path) -> dict[str, int]:
    """Bytes in the APK of each part; the last is what signature, alignment and the ZIP's own tables take."""
    sizes = {name: 0 for name, _ in _PARTS}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            part = next(name for name, prefix in _PARTS if entry.filename.startswith(prefix))
            sizes[part] += entry.compress_size
    sizes["signature, alignment, directory"] = path.stat().st_size - sum(sizes.values())
    return sizes
