"""The APK as a ZIP: sorted entries, one fixed time, and sizes by part. The same inputs give the same bytes."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

_TIME = (1981, 1, 1, 1, 1, 2)  # what Android's own tools write
_STORED = (".arsc", ".png", ".webp", ".tflite")  # resources must lie uncompressed; the others hardly shrink
_PARTS = (  # in this order: the first that fits
    ("runtime (liblitert-lm.so, arm64)", "lib/arm64-v8a/liblitert-lm.so"),
    ("shim (libtflite_jni.so, arm64)", "lib/"),
    ("code (classes.dex)", "classes"),
    ("models", "assets/models/"),
    ("sample images", "assets/samples/"),
    ("licences", "assets/licenses/"),
    ("resources and manifest", ""),
)


def write_zip(out: Path, files: Mapping[str, bytes]) -> None:
    """Write an unaligned ZIP of `files`: name to content."""
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files, key=lambda name: (name != "AndroidManifest.xml", name)):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.create_system = 0
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)


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
