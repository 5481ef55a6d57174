"""How evaluation code of timm and torchvision brings a picture into a square frame: enlarged past it, then cut.

The shorter side becomes the frame's divided by the share that is kept, by Pillow's own filter, which is widened when
shrinking; the middle of that is the frame. So do `Resize` and `CenterCrop` on Pillow's images, to the pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ofa_edge.vocabulary import Filter

_PILLOWS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Framing:
    """The filter, and the share of the shorter side that is kept, above 0 and up to 1."""

    filter: Filter
    share: float

    def frame(self, image: Image.Image, size: int) -> Image.Image:
        """The frame of so many pixels a side."""
        short = math.floor(size / self.share)
        width, height = image.size
        longer = int(short * max(width, height) / min(width, height))
        inner = (short, longer) if width <= height else (longer, short)
        whole = image if image.size == inner else image.resize(inner, _PILLOWS[self.filter])
        left, top = (round((side - size) / 2) for side in inner)
        return whole.crop((left, top, left + size, top + size))

    def apply(self, images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Arrays uint8 [N, H, W, C] of 1 or 3 channels -> uint8 [N, size, size, C]."""
        grey = images.shape[3] == 1
        made = [self.frame(Image.fromarray(each[..., 0] if grey else each), size) for each in images]
        return np.stack([np.asarray(each, np.uint8) for each in made]).reshape(len(images), size, size, -1)
