"""Folders of images: `train/CLASS/...` beside `val/CLASS/...` or `test/CLASS/...`, or one folder of classes."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ofa_edge.data.channels import check_channels
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.labels import LABELS_FILE, read_labels
from ofa_edge.data.memory import require_memory
from ofa_edge.data.reading import AS_STORED, Reading, Values
from ofa_edge.errors import DataError
from ofa_edge.files import sha256_bytes
from ofa_edge.shown import printable

Progress = Callable[[int, int], None]  # images read, images in all

HELD_OUT_SHARE = 0.1
_TEST_FOLDERS = ("val", "valid", "validation", "test")
_BLOCK = 256  # images between two reports
_UNREADABLE = "an image that cannot be read"
_NAMED = 5  # of several files, those that an error names


@dataclass(frozen=True)
class _Part:
    """The files of each class, in the order of the class names, and files that are not images."""

    files: tuple[tuple[Path, ...], ...]
    others: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return sum(len(files) for files in self.files)


def load_image_folder(
    folder: Path,
    channels: int | None,
    size: int,
    *,
    held_out_share: float = HELD_OUT_SHARE,
    split_seed: int = 0,
    reading: Reading = AS_STORED,
    on_progress: Progress = lambda done, total: None,
) -> Dataset:
    """Images in folders named by their classes.

    Either `folder/train/CLASS/` with `folder/val/CLASS/` (also valid, validation, test; the first of these that is
    there), or `folder/CLASS/` (or `folder/train/CLASS/` alone), of which a share is held out as the test set: the same
    one for a seed whatever the order of the directory, class by class, so that another class does not change it.

    `folder/labels.toml` may give folders labels that no folder can be called (see `ofa_edge.data.labels`). Classes are
    numbered in the order of their folders' names.

    Files may lie in folders within a class. What starts with a dot is passed over; a link to a folder is followed once.
    Each image becomes its central square at `size` (see `ofa_edge.data.picture`).

    Args:
        folder: where the images are.
        channels: 1 or 3; None: 1 if every image is grey, else 3.
        size: side of the images in memory, in pixels.
        held_out_share: of each class, where the folder has no test part.
        split_seed: of that split.
        reading: how values in files become pixels.
        on_progress: called now and then from this thread.

    Raises:
        DataError: a folder is missing, a class is empty, there is one class, two labels cannot be told apart, the two
            parts differ in their classes, images cannot be read or are of different depths, the folder changed while it
            was read, or the images would not fit into memory. What is at fault is named.
    """
    check_channels(channels)
    train_folder, test_folder = _find_parts(folder)
    names = _class_names(train_folder)
    labels = read_labels(folder, names)
    before = _state(train_folder, test_folder)
    train = _list_part(train_folder, names)
    notes = _unread(folder, test_folder) + _left_out(train_folder, train.others)
    if test_folder is None:
        train, test = _split(train_folder, names, train, held_out_share, split_seed)
        notes += (f"{folder}: no test part; {len(test)} of {len(train) + len(test)} images held out as one",)
    else:
        _require_same(names, _class_names(test_folder), train_folder, test_folder)
        test = _list_part(test_folder, names)
        notes += _left_out(test_folder, test.others)
    if channels is None:
        channels = (
            1 if all(_may_be_grey(path) for part in (train, test) for files in part.files for path in files) else 3
        )
    total = len(train) + len(test)
    require_memory(total, size, channels, str(folder))
    found = _Found()
    parts = (
        _read(train, channels, size, reading, found, lambda done: on_progress(done, total)),
        _read(test, channels, size, reading, found, lambda done: on_progress(len(train) + done, total)),
    )
    _require_unchanged(folder, before, _state(train_folder, test_folder))
    found.require_readable()
    values = Values.of_set(found.values, str(folder))
    test_names = tuple(printable(str(path.relative_to(folder))) for files in test.files for path in files)
    return Dataset(folder.name or folder.resolve().name, parts[0], parts[1], labels, notes, values, test_names)


def _may_be_grey(path: Path) -> bool:
    from ofa_edge.data.picture import is_grey

    try:
        return is_grey(path)
    except DataError:  # told with all others that cannot be read
        return True


def _find_parts(folder: Path) -> tuple[Path, Path | None]:
    hint = "arrange the images as train/CLASS/x.png and val/CLASS/y.png, or as CLASS/x.png"
    if not folder.is_dir():
        raise DataError("not an image folder", f"{folder} is not a folder", hint)
    test = next((folder / name for name in _TEST_FOLDERS if (folder / name).is_dir()), None)
    if (folder / "train").is_dir():
        return folder / "train", test
    if test is not None:
        raise DataError("not an image folder", f"{folder} has {test.name}/ and no train/", hint)
    if not any(_is_folder(entry) for entry in _entries(folder)):
        raise DataError("not an image folder", f"{folder} has no folders", hint)
    return folder, None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, hidden entries left out, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda item: item.name)
    except OSError as error:
        raise DataError(
            "a folder that cannot be read", f"{folder}: {error.strerror}", "check its permissions"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; as a file it is named if it should have been an image
        return False


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(entry.name for entry in _entries(folder) if _is_folder(entry))
    if len(names) < 2:
        raise DataError(
            "too few classes", f"{folder} has {len(names)}: {', '.join(names) or 'none'}", "add a folder for each class"
        )
    return names


def _require_same(names: Sequence[str], others: Sequence[str], train: Path, test: Path) -> None:
    strange, missing = sorted(set(others) - set(names)), sorted(set(names) - set(others))
    if strange or missing:
        where = f"{test} has {', '.join(strange[:5])}, {train} has not" if strange else ""
        where += "; " if strange and missing else ""
        where += f"{train} has {', '.join(missing[:5])}, {test} has not" if missing else ""
        raise DataError("classes differ", where, "use the same classes in both")


def _list_part(folder: Path, names: Sequence[str]) -> _Part:
    from ofa_edge.data.picture import SUFFIXES

    files, others = [], [Path(entry.path) for entry in _entries(folder) if not _is_folder(entry)]
    others = [path for path in others if path.name != LABELS_FILE]
    for name in names:
        found = list(_walk(folder / name))
        files.append(tuple(path for path in found if path.suffix.lower() in SUFFIXES))
        others += [path for path in found if path.suffix.lower() not in SUFFIXES]
    empty = [str(folder / name) for name, images in zip(names, files, strict=True) if not images]
    if empty:
        more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
        raise DataError(
            "a class without images" if len(empty) == 1 else f"{len(empty)} classes without images",
            ", ".join(empty[:_NAMED]) + more,
            f"add images ({', '.join(sorted(SUFFIXES))}), or remove the folder",
        )
    return _Part(tuple(files), tuple(others))


def _walk(top: Path) -> Iterator[Path]:
    """Every file under `top`, in order of the names. A folder is entered once, and none that holds `top`."""
    seen = {_identity(parent) for parent in top.resolve().parents}
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if _identity(folder) in seen:
            continue
        seen.add(_identity(folder))
        inner = []
        for entry in _entries(folder):
            if _is_folder(entry):
                inner.append(Path(entry.path))
            else:
                yield Path(entry.path)
        waiting += reversed(inner)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _unread(folder: Path, taken: Path | None) -> tuple[str, ...]:
    others = [name for name in _TEST_FOLDERS if taken and name != taken.name and (folder / name).is_dir()]
    return (f"{folder}: {taken.name}/ is the test set, {', '.join(others)}/ left out",) if taken and others else ()


def _left_out(folder: Path, others: Sequence[Path]) -> tuple[str, ...]:
    if not others:
        return ()
    first = others[0].relative_to(folder)
    return (f"{folder}: files left out that are no images of a class: {len(others)}, {first} the first",)


def _split(folder: Path, names: Sequence[str], part: _Part, share: float, seed: int) -> tuple[_Part, _Part]:
    """Hold out a share of each class, at least one image."""
    if not 0 < share < 1:
        raise DataError("bad share to hold out", f"{share}", "hold out more than 0 and less than 1 of the images")
    kept, held_out = [], []
    for name, files in zip(names, part.files, strict=True):
        if len(files) < 2:
            raise DataError("a class with one image", f"{folder / name}", "add images: one is held out for the test")
        stream = int(sha256_bytes(name.encode(errors="surrogateescape"))[:16], 16)
        order = np.random.default_rng([seed, stream]).permutation(len(files))
        cut = min(max(1, round(share * len(files))), len(files) - 1)
        held_out.append(tuple(files[index] for index in sorted(order[:cut])))
        kept.append(tuple(files[index] for index in sorted(order[cut:])))
    return _Part(tuple(kept)), _Part(tuple(held_out))


@dataclass
class _Found:
    """What reading finds besides pixels: the values of each file, and files that cannot be read."""

    values: list[tuple[str, Values]] = field(default_factory=list)
    faults: list[DataError] = field(default_factory=list)

    def require_readable(self) -> None:
        """Raise DataError where files could not be read: all are counted, the first few are named."""
        if not self.faults:
            return
        if len(self.faults) == 1:
            raise self.faults[0]
        lines = [fault.why if fault.what == _UNREADABLE else f"{fault.why} ({fault.what})" for fault in self.faults]
        more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
        hints = dict.fromkeys(fault.hint for fault in self.faults)
        raise DataError(
            f"{len(lines)} images that cannot be read", "\n  ".join(lines[:_NAMED] + more), "; ".join(list(hints)[:3])
        )


def _read(
    part: _Part, channels: int, size: int, reading: Reading, found: _Found, report: Callable[[int], None]
) -> Images:
    from ofa_edge.data.picture import Picture, read_picture

    def read(path: Path) -> Picture | DataError:
        try:
            return read_picture(path, channels, size, reading)
        except DataError as error:
            return error

    files = [path for of_class in part.files for path in of_class]
    labels = np.repeat(np.arange(len(part.files)), [len(of_class) for of_class in part.files])
    pixels = np.empty((len(files), size, size, channels), dtype=np.uint8)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _BLOCK):  # in blocks: few results wait, and an interrupt is heard
            block = files[start : start + _BLOCK]
            for index, (path, picture) in enumerate(zip(block, pool.map(read, block), strict=True), start=start):
                if isinstance(picture, DataError):
                    found.faults.append(picture)
                else:
                    pixels[index] = picture.pixels
                    found.values.append((str(path), picture.values))
            report(min(start + _BLOCK, len(files)))
    return Images(pixels, labels.astype(np.int64))


def _state(*folders: Path | None) -> dict[Path, tuple[int, int] | None]:
    """Size and time of change of every file in class folders; None for one that cannot be asked."""
    state: dict[Path, tuple[int, int] | None] = {}
    for folder in folders:
        for entry in _entries(folder) if folder else ():
            for path in _walk(Path(entry.path)) if _is_folder(entry) else ():
                try:
                    status = path.stat()
                    state[path] = status.st_size, status.st_mtime_ns
                except OSError:
                    state[path] = None
    return state


def _require_unchanged(
    folder: Path, before: dict[Path, tuple[int, int] | None], after: dict[Path, tuple[int, int] | None]
) -> None:
    """Raise DataError where files came, went or changed: the images in memory are of no one state of the folder."""
    changes = [
        f"{path} {'appeared' if path not in before else 'vanished' if path not in after else 'changed'}"
        for path in sorted({**before, **after})
        if (path in before, before.get(path)) != (path in after, after.get(path))
    ]
    if changes:
        more = [f"and {len(changes) - _NAMED} more"] if len(changes) > _NAMED else []
        raise DataError(
            f"{folder} changed while it was read",
            "\n  ".join(changes[:_NAMED] + more),
            "wait until nothing writes to it, and then run the same command again; nothing was written",
        )
