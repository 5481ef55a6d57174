"""YOLO's text files of objects: a line for each, `class x y width height` as shares of the picture, or a polygon.

Numbers of classes get their names in `data.yaml` (`names`), or in `classes.txt`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from ofa_edge.data.marked import PARTS, Marked, MarkedSet, train_and_test
from ofa_edge.data.picture import SUFFIXES
from ofa_edge.errors import DataError
from ofa_edge.files import bounded_text
from ofa_edge.plain_yaml import read_plain_yaml

_HINT = "a line for each object: class, then x y width height of its box, centre first, as shares 0..1 of the picture"


def find_yolo(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The folders of images and of labels of each part; empty where there are none."""
    found: dict[str, tuple[Path, Path]] = {}
    for word, part in PARTS.items():
        for images, labels in (
            (folder / "images" / word, folder / "labels" / word),
            (folder / word / "images", folder / word / "labels"),
        ):
            if images.is_dir() and labels.is_dir():
                found.setdefault(part, (images, labels))
    if not found and (folder / "images").is_dir() and (folder / "labels").is_dir():
        found["train"] = folder / "images", folder / "labels"
    return found


def read_yolo(folder: Path, parts: Mapping[str, tuple[Path, Path]]) -> MarkedSet:
    """Images and objects of both parts.

    Raises:
        DataError: a line that is no object, or no names; the file is named.
    """
    names = _names(folder)
    read = {part: _part(images, labels, names) for part, (images, labels) in parts.items()}
    return MarkedSet(names, *train_and_test(read))


def _names(folder: Path) -> tuple[str, ...]:
    hint = "data.yaml with a list `names`, or classes.txt with a class a line, in the folder of the images and labels"
    for path in (*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*.yml"))):
        try:
            found = read_plain_yaml(bounded_text(path))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError("cannot read the names of the classes", f"{path}: {error}", hint) from error
        said = found.get("names") if isinstance(found, dict) else None
        if isinstance(said, dict) and all(isinstance(key, int) for key in said):
            said = [said[key] for key in sorted(said)] if sorted(said) == list(range(len(said))) else None
        if isinstance(said, list) and said:
            return tuple(map(str, said))
    path = folder / "classes.txt"
    try:
        return tuple(line.strip() for line in bounded_text(path).splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise DataError("no names of the classes", f"{folder}: neither data.yaml nor classes.txt", hint) from error


def _part(images: Path, labels: Path, names: tuple[str, ...]) -> tuple[Marked, ...]:
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError("no images", str(images), f"put images there ({', '.join(sorted(SUFFIXES))})")
    found, without = [], 0
    for path in files:
        text = labels / path.relative_to(images).with_suffix(".txt")
        without += not text.is_file()
        found.append(_marked(path, text, len(names)))
    if without == len(files):
        raise DataError("images without labels", f"{labels}: no .txt of the name of any image", _HINT)
    return tuple(found)


def _marked(image: Path, path: Path, classes: int) -> Marked:
    """An image without a text file, or with an empty one, shows nothing."""
    try:
        lines = bounded_text(path).splitlines() if path.is_file() else []
    except (OSError, ValueError) as error:
        raise DataError("cannot read labels", f"{path}: {error}", _HINT) from error
    objects = [_object(line.split(), path, place, classes) for place, line in enumerate(lines, 1) if line.strip()]
    numbers, corners = zip(*objects, strict=True) if objects else ((), ())
    return Marked(image, numbers, corners, (False,) * len(numbers), None)


def _object(words: list[str], path: Path, line: int, classes: int) -> tuple[int, tuple[float, float, float, float]]:
    where = f"{path}, line {line}"
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise DataError("a line that is no object", f"{where}: {error}", _HINT) from error
    number, *rest = values
    polygon = len(rest) >= 6 and len(rest) % 2 == 0
    if not (len(rest) == 4 or polygon) or not all(map(math.isfinite, values)):
        raise DataError("a line that is no object", f"{where}: {len(words)} numbers", _HINT)
    if number != int(number) or not 0 <= number < classes:
        raise DataError("an object of an unknown class", f"{where}: {words[0]}, of {classes} classes from 0", _HINT)
    if max(rest) > 1.01 or min(rest) < -0.01:
        raise DataError("a box outside its picture", f"{where}: {max(rest):g}", f"{_HINT}, not pixels")
    if polygon:
        across, down = rest[::2], rest[1::2]
        return int(number), (min(across), min(down), max(across), max(down))
    x, y, width, height = rest
    return int(number), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
