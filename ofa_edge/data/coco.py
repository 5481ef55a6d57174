"""COCO's JSON files of objects (https://cocodataset.org/#format-data), as COCO, Roboflow and CVAT write them."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_edge.data.marked import PARTS, Marked, MarkedSet, train_and_test
from ofa_edge.errors import DataError
from ofa_edge.files import bounded_text, parse_json

_BESIDE = "_annotations.coco.json"
_LARGEST = 1 << 30  # bytes of a file
_HINT = "write it as COCO does: images, annotations and categories (https://cocodataset.org/#format-data)"


def find_coco(folder: Path) -> dict[str, Path]:
    """The JSON file of each part of a folder: "train", "val" or "test"; empty where there is none.

    Raises:
        DataError: several files for one part.
    """
    found: dict[str, list[Path]] = {}
    for name, part in PARTS.items():
        if (path := folder / name / _BESIDE).is_file():
            found.setdefault(part, []).append(path)
    if not found:
        for path in sorted((*folder.glob("*.json"), *(folder / "annotations").glob("*.json"))):
            part = next((part for word, part in PARTS.items() if word in path.stem.lower()), "train")
            found.setdefault(part, []).append(path)
    chosen = {}
    for part, paths in found.items():
        named = [path for path in paths if path.stem.startswith("instances")] or paths
        if len(named) > 1:
            words = ", ".join(str(path.relative_to(folder)) for path in named[:5])
            raise DataError(f"several annotation files for '{part}'", f"{folder}: {words}", "leave one of them there")
        chosen[part] = named[0]
    return chosen


def read_coco(folder: Path, files: Mapping[str, Path]) -> MarkedSet:
    """Images and objects of both parts.

    Raises:
        DataError: a file is damaged or contradicts itself, or images are missing; the first is named.
    """
    parts = {part: _Part(folder, part, path) for part, path in files.items()}
    known = tuple(dict.fromkeys(name for part in parts.values() for name in part.names))
    used = {name for part in parts.values() for name in part.used}
    names = tuple(name for name in known if name in used)
    read = {part: found.marked(names) for part, found in parts.items()}
    train, test = train_and_test(read)
    notes = tuple(note for part in parts.values() for note in part.notes)
    return MarkedSet(names, train, test, notes, known)


class _Part:
    """One JSON file."""

    def __init__(self, folder: Path, part: str, path: Path) -> None:
        self.folder, self.part, self.path = folder, part, path
        self.notes: list[str] = []
        content = _content(path)
        self.images = self._by_id(content, "images")
        self.categories = {key: str(each.get("name", key)) for key, each in self._by_id(content, "categories").items()}
        twice = [name for name, times in Counter(self.categories.values()).items() if times > 1]
        if twice:
            raise DataError("two categories of one name", f"{path}: {twice[0]!r}", "give each category its own name")
        self.objects: dict[Any, list[Mapping[str, Any]]] = {}
        for each in _list(content, "annotations", path):
            self._add(each)
        self.names = tuple(self.categories[key] for key in sorted(self.categories, key=_order))
        self.used = {self.categories[each["category_id"]] for objects in self.objects.values() for each in objects}

    def _by_id(self, content: Mapping[str, Any], name: str) -> dict[Any, Mapping[str, Any]]:
        found: dict[Any, Mapping[str, Any]] = {}
        for each in _list(content, name, self.path):
            key = each.get("id")
            if not isinstance(key, int | str) or key in found:
                words = "has no id" if key is None else f"id {key!r} stands twice"
                raise DataError(f"an entry of '{name}' that cannot be told from others", f"{self.path}: {words}", _HINT)
            found[key] = each
        return found

    def _add(self, each: Mapping[str, Any]) -> None:
        image, category = each.get("image_id"), each.get("category_id")
        for what, key, known in (("image", image, self.images), ("category", category, self.categories)):
            if not isinstance(key, int | str) or key not in known:
                why = f"{self.path}: annotation {each.get('id')!r} is of {what} {key!r}"
                raise DataError(f"an object of an unknown {what}", why, _HINT)
        self.objects.setdefault(image, []).append(each)

    def marked(self, names: Sequence[str]) -> tuple[Marked, ...]:
        root, found, flat = self._root(), list[Marked](), 0
        for key, image in self.images.items():
            size = self._size(image)
            boxes = []
            for each in self.objects.get(key, ()):
                x, y, width, height = self._box(each)
                if width and height:
                    number = names.index(self.categories[each["category_id"]])
                    boxes.append((number, (x, y, x + width, y + height), bool(each.get("iscrowd", 0))))
                else:
                    flat += 1
            numbers, corners, crowd = zip(*boxes, strict=True) if boxes else ((), (), ())
            found.append(Marked(root / self._name(image), numbers, corners, crowd, size))
        if flat:
            self.notes.append(f"{self.path.name}: {flat} objects without extent left out")
        if not found:
            raise DataError("no images in the annotations", str(self.path), _HINT)
        return tuple(found)

    def _size(self, image: Mapping[str, Any]) -> tuple[int, int]:
        width, height = image.get("width"), image.get("height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return width, height
        why = f"{self.path}: image {image.get('id')!r}: width {width!r}, height {height!r}"
        raise DataError("an image without its size", why, _HINT)

    def _box(self, each: Mapping[str, Any]) -> tuple[float, float, float, float]:
        box = each.get("bbox")
        if isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box):
            x, y, width, height = map(float, box)
            if all(map(math.isfinite, (x, y, width, height))) and width >= 0 and height >= 0:
                return x, y, width, height
        why = f"{self.path}: annotation {each.get('id')!r}: bbox {str(box)[:80]}"
        raise DataError("a box that is none", why, "bbox is [x, y, width, height] in pixels")

    def _name(self, image: Mapping[str, Any]) -> Path:
        name = image.get("file_name")
        if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError("an image without a file", f"{self.path}: file_name {name!r}", "a path within the folder")
        return Path(name)

    def _root(self) -> Path:
        """The folder that holds all images. Raises DataError."""
        stem = self.path.stem.removeprefix("instances_")
        spellings = (stem, self.part, f"{self.part}2017", *(word for word, part in PARTS.items() if part == self.part))
        places = [self.path.parent, self.folder, self.folder / "images"]
        places += [parent / name for parent in (self.folder, self.folder / "images") for name in spellings]
        names = [self._name(image) for image in self.images.values()]
        missing = {place: [name for name in names if not _is_file(place / name)] for place in dict.fromkeys(places)}
        best = min(missing, key=lambda place: len(missing[place]))
        if missing[best]:
            first = missing[best][0]
            raise DataError(
                f"{len(missing[best])} of {len(names)} images of {self.path.name} are missing",
                f"{first} is in none of {', '.join(str(place) for place in missing if place.is_dir())}",
                f"put the images into {self.folder / 'images'} or {self.folder / self.part}",
            )
        return best


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(bounded_text(path, _LARGEST))
    except (OSError, ValueError) as error:
        raise DataError("cannot read the annotations", f"{path}: {error}", _HINT) from error
    if not isinstance(content, dict):
        raise DataError("cannot read the annotations", f"{path}: no object", _HINT)
    return content


def _list(content: Mapping[str, Any], name: str, path: Path) -> list[Mapping[str, Any]]:
    found = content.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        words = "is missing" if found is None else "is no list of objects"
        raise DataError(f"annotations without '{name}'", f"{path}: '{name}' {words}", _HINT)
    return found


def _order(key: Any) -> tuple[bool, Any]:
    return isinstance(key, str), key


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path's own raises for a name that is too long)
