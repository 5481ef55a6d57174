"""A picture of any shape in the frame of a network's input, and where each of its points comes to lie.

`crop` takes the middle square, as classifiers are trained; `squeeze` takes all of it, whatever that does to its sides;
`letterbox` takes all of it as it is and fills the rest of the frame with grey 114, as YOLO's family does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps

from ofa_edge.data.boxes import Corners
from ofa_edge.data.picture import middle_square, opened, plain, room_for, scaled
from ofa_edge.data.pixels import GREY, placed
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED
from ofa_edge.vocabulary import Fit

_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
# Where a point (x, y) of a file is in the picture as people see it, W x H, by orientation (Exif 2.32, tag 0x0112).
_PLACES: Mapping[int, Callable[[Any, Any, int, int], tuple[Any, Any]]] = {
    1: lambda x, y, _, __: (x, y),
    2: lambda x, y, wide, _: (wide - x, y),
    3: lambda x, y, wide, high: (wide - x, high - y),
    4: lambda x, y, _, high: (x, high - y),
    5: lambda x, y, _, __: (y, x),
    6: lambda x, y, wide, _: (wide - y, x),
    7: lambda x, y, wide, high: (wide - y, high - x),
    8: lambda x, y, _, high: (y, high - x),
}


@dataclass(frozen=True)
class Frame:
    """Where a picture lies in the input: a point (x, y) of it at (x, y) * scale + offset.

    Attributes:
        size: width and height of the picture.
        scale: of x and of y.
        offset: of the picture's corner, in pixels of the input; negative where it is cut off.
        shape: height and width of the input.
        orientation: EXIF's, which was applied to get the picture.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    shape: tuple[int, int]
    orientation: int = 1

    @classmethod
    def of(cls, size: tuple[int, int], shape: tuple[int, int], fit: Fit, orientation: int = 1) -> "Frame":
        """The frame of a picture of this width and height, in an input of this height and width."""
        return cls(size, *placed(size, shape, fit), shape, orientation)

    @property
    def content(self) -> tuple[float, float, float, float]:
        """Corners of what is seen of the picture, in the input."""
        rows, columns = self.shape
        x, y = max(self.offset[0], 0.0), max(self.offset[1], 0.0)
        right = min(self.offset[0] + self.size[0] * self.scale[0], columns)
        return x, y, right, min(self.offset[1] + self.size[1] * self.scale[1], rows)

    @property
    def turned(self) -> bool:
        """Whether width and height are in the file the other way round."""
        return self.orientation in _TURNED

    def upright(self, corners: Corners) -> Corners:
        """Boxes [M, 4] of the picture as the file stores it, in the picture as it is seen."""
        move = _PLACES[self.orientation]
        first, second = (np.stack(move(corners[:, at], corners[:, at + 1], *self.size), axis=1) for at in (0, 2))
        return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)

    def place(self, corners: Corners) -> Corners:
        """Boxes [M, 4] of the picture, in the input; cut at its borders."""
        moved = corners * np.tile(self.scale, 2) + np.tile(self.offset, 2)
        x, y, right, bottom = self.content
        return np.asarray(np.clip(moved, [x, y, x, y], [right, bottom, right, bottom]))

    def back(self, corners: Corners) -> Corners:
        """Boxes [M, 4] of the input, in the picture; cut at its borders."""
        moved = (corners - np.tile(self.offset, 2)) / np.tile(self.scale, 2)
        return np.asarray(np.clip(moved, 0, np.tile(self.size, 2)))

    def nearest(self, values: NDArray[np.integer], outside: int) -> NDArray[np.integer]:
        """A picture's values [height, width], each point of the input as its nearest; `outside` beyond the picture."""
        rows, columns = self.shape
        places = []
        for length, count, scale, offset in zip(
            values.shape, (rows, columns), self.scale[::-1], self.offset[::-1], strict=True
        ):
            place = np.floor((np.arange(count) + 0.5 - offset) / scale).astype(np.int64)
            places.append(np.where((place >= 0) & (place < length), place, -1))
        found = values[np.maximum(places[0], 0)][:, np.maximum(places[1], 0)]
        hidden = (places[0] < 0)[:, None] | (places[1] < 0)[None]
        return np.where(hidden, outside, found)


def read_fitted(path: Path, channels: int, shape: tuple[int, int], fit: Fit) -> tuple[Pixels, Frame]:
    """Read an image file into a network's frame: uint8 [*shape, channels], and where it lies.

    EXIF orientation is applied: the frame is of the picture as people see it.

    Raises:
        DataError: see `picture.read_picture`.
    """
    rows, columns = shape
    with opened(path) as image:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        full = image.size[::-1] if orientation in _TURNED else image.size
        image.draft(None, (4 * max(shape), 4 * max(shape)))
        with room_for(image, full[0] * full[1]):
            ImageOps.exif_transpose(image, in_place=True)
            frame = Frame.of(full, shape, fit, orientation if orientation in _PLACES else 1)
            x, y, right, bottom = (round(value) for value in frame.content)
            part = middle_square(image) if fit == "crop" else image
            inner = scaled(plain(part, AS_STORED)[0], channels, (bottom - y, right - x))
    pixels = np.full((rows, columns, channels), GREY, np.uint8)
    pixels[y:bottom, x:right] = inner
    return pixels, frame
