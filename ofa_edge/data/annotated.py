"""Images with objects in boxes, as people keep them: COCO's JSON and YOLO's text files, found by how a folder looks.

- COCO: `annotations/instances_train*.json` and `instances_val*.json` (or `train.json`, `val.json`), with images in
  `train*/`, `val*/` or `images/`;
- COCO as Roboflow writes it: `train/_annotations.coco.json` beside the images, the same in `valid/` or `test/`;
- YOLO: `images/train/` and `labels/train/` (or `train/images/`, `train/labels/`), the names of classes in `data.yaml`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge.data.annotations import Boxes
from ofa_edge.data.boxes import Corners
from ofa_edge.data.coco import find_coco, read_coco
from ofa_edge.data.dataset import Images
from ofa_edge.data.fitted import Frame, read_fitted
from ofa_edge.data.labels import class_order
from ofa_edge.data.marked import Marked, MarkedSet
from ofa_edge.data.memory import require_bytes
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.yolo import find_yolo, read_yolo
from ofa_edge.errors import DataError


def read_marked(folder: Path) -> MarkedSet:
    """The images of a folder and their objects, by files.

    Raises:
        DataError: the folder is of no layout that is known, or its files contradict themselves; the first is named.
    """
    if not folder.is_dir():
        raise DataError("not a folder of images with boxes", f"{folder} is not a folder", "--data DIR")
    if coco := find_coco(folder):
        return read_coco(folder, coco)
    if yolo := find_yolo(folder):
        return read_yolo(folder, yolo)
    raise DataError(
        "not a folder of images with boxes",
        f"{folder}: neither COCO's JSON files nor YOLO's images/ and labels/",
        "annotations/train.json and val.json beside the images, or images/train, labels/train, images/val, labels/val "
        "and data.yaml",
    )


@dataclass(frozen=True)
class Pictured:
    """Images in a network's frame, and their objects there."""

    images: Images
    boxes: Boxes


def read_pictures(marked: Sequence[Marked], order: Sequence[int], preprocessing: Preprocessing) -> Pictured:
    """Read images and bring their objects into the network's frame.

    Args:
        marked: of one set.
        order: number among the network's classes of each class of the set.
        preprocessing: of the network.

    Raises:
        DataError: an image cannot be read, is of another size than its annotations say, or nothing tells whether its
            boxes are of it before or after EXIF turns it; it is named.
    """
    shape, channels = preprocessing.shape, preprocessing.channels
    require_bytes(len(marked) * shape[0] * shape[1] * channels, f"{len(marked)} images", "use fewer of them")
    pixels = np.empty((len(marked), *shape, channels), np.uint8)
    content = np.zeros((len(marked), 4))
    frames = list[Frame]()
    for place, each in enumerate(marked):
        pixels[place], frame = read_fitted(each.path, channels, shape, preprocessing.fit)
        content[place] = frame.content
        frames.append(frame)
    sides = [_side(each, frame) for each, frame in zip(marked, frames, strict=True)]
    told = {side for side in sides if side}
    corners = [
        frame.place(_in_pixels(each, frame, {side} if side else told))
        for each, frame, side in zip(marked, frames, sides, strict=True)
    ]
    images = np.repeat(np.arange(len(marked)), [len(each.classes) for each in marked])
    numbers = np.array([order[number] for each in marked for number in each.classes], np.int64)
    crowd = np.array([flag for each in marked for flag in each.crowd], bool)
    boxes = np.concatenate([*corners, np.zeros((0, 4))])
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # what cropping left of them
    found = Boxes(images[seen], boxes[seen], numbers[seen], crowd[seen], content)
    return Pictured(Images(pixels, np.zeros(len(marked), np.int64)), found)


def classes_in(names: Sequence[str], labels: Sequence[str], folder: Path) -> list[int]:
    """Number among a network's labels of each class of a set. Raises DataError for a class that is none of them."""
    return class_order(names, labels, str(folder), "network", some=True, folders=False)


def _side(marked: Marked, frame: Frame) -> str | None:
    """Whether its boxes are of the picture "stored" or "seen", by its size; None where that does not tell.

    Raises DataError for another size.
    """
    seen, said = frame.size, marked.size
    stored = seen[::-1] if frame.turned else seen
    if said is None:
        return None
    if said not in (seen, stored):
        words = f"{marked.path} is {seen[0]} x {seen[1]}, its annotations say {said[0]} x {said[1]}"
        raise DataError("boxes of a picture of another size", words, "annotate the pictures at the size that they have")
    if stored == seen:
        return None
    return "stored" if said == stored else "seen"


def _in_pixels(marked: Marked, frame: Frame, sides: Collection[str]) -> Corners:
    """Its boxes in pixels of the picture as people see it. `sides`: what its size tells, else those of all pictures."""
    boxes = np.array(marked.corners, np.float64).reshape(-1, 4)
    if marked.size is None:  # shares are of what YOLO's own loaders see
        return np.asarray(boxes * np.tile(frame.size, 2))
    if frame.orientation == 1 or not len(boxes):
        return boxes
    if len(sides) == 1:
        return boxes if "seen" in sides else frame.upright(boxes)
    others = "pictures of the set that are turned by a quarter are annotated either way" if sides else "no other does"
    raise DataError(
        "boxes of a picture before it is turned, or after",
        f"{marked.path}: its EXIF orientation is {frame.orientation}, its size does not tell; {others}",
        "turn the picture itself and drop the orientation (exiftran, jpegtran), if its boxes are of it as it is seen",
    )
