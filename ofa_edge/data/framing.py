"""How evaluation code of timm and torchvision brings a picture into a square frame: enlarged past it, then cut.

The shorter side becomes the frame's divided by the share that is kept, by Pillow's own filter, which is widened when
shrinking; the middle of that is the frame. So do `Resize` and `CenterCrop` on Pillow's images, to the pixel.

Builds carry this file beside `pixels.py`, the only one of ofa-edge that it imports.
"""

from __future__ import annotations  # a board's Python may be older than this project's

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from ofa_edge.data.pixels import fitted, to_channels
else:
    from pixels import fitted, to_channels
if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from PIL import Image

    from ofa_edge.vocabulary import Filter


@dataclass(frozen=True)
class Framing:
    """The filter, and the share of the shorter side that is kept, above 0 and up to 1."""

    filter: Filter
    share: float

    def frame(self, image: Image.Image, size: int) -> Image.Image:
        """The frame of so many pixels a side."""
        from PIL import Image

        short = math.floor(size / self.share)
        width, height = image.size
        longer = int(short * max(width, height) / min(width, height))
        inner = (short, longer) if width <= height else (longer, short)
        whole = image if image.size == inner else image.resize(inner, Image.Resampling[self.filter.upper()])
        left, top = (round((side - size) / 2) for side in inner)
        return whole.crop((left, top, left + size, top + size))

    def apply(self, images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Arrays uint8 [N, H, W, C] of 1 or 3 channels -> uint8 [N, size, size, C]."""
        from PIL import Image

        grey = images.shape[3] == 1
        made = [self.frame(Image.fromarray(each[..., 0] if grey else each), size) for each in images]
        return np.stack([np.asarray(each, np.uint8) for each in made]).reshape(len(images), size, size, -1)


def framed(photo: NDArray[np.uint8], picture: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A photo uint8 [H, W, 1 or 3] -> the pixels [height, width, channels] that `picture` of an interface asks for."""
    if picture["filter"] == "triangle":
        return fitted(photo, (picture["height"], picture["width"]), picture["fit"], picture["channels"])
    framing = Framing(picture["filter"], picture["share"])
    return to_channels(framing.apply(photo[np.newaxis], picture["height"])[0], picture["channels"])
