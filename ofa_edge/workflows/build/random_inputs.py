"""Images for a network that somebody else made and gave no images with.

What a network looks for is not known, and one that sees nothing of it answers with rounding noise: a detector of text
is dark on smooth pictures, and its answers there prove nothing. So pictures are of several kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.pixels import resize
from ofa_edge.vocabulary import PictureKind

_Pixels = NDArray[np.uint8]
_COARSE = 16  # rows and columns of a smooth picture before it is enlarged
_BLOCK = 32  # pixels a side
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789    "
_LINE = 40  # letters of a line
_INK, _PAPER = 90, 160  # the brightest ink, the darkest paper


def varied_images(
    count: int, shape: tuple[int, int], channels: int, seed: int, kinds: Sequence[PictureKind] = ()
) -> Images:
    """Smooth colours, noise, flat blocks and writing in turn, each with label 0.

    Args:
        count: how many.
        shape: rows and columns.
        channels: 1 or 3.
        seed: of all of them.
        kinds: of `KINDS`; none: all.
    """
    rng = np.random.default_rng(seed)
    drawn = [_DRAWN[kind] for kind in kinds or KINDS]
    made = [drawn[number % len(drawn)](rng, shape, channels) for number in range(count)]
    return Images(np.stack(made), np.zeros(count, np.int64))


def _smooth(rng: np.random.Generator, shape: tuple[int, int], channels: int) -> _Pixels:
    found: _Pixels = resize(rng.integers(0, 256, (1, _COARSE, _COARSE, channels), np.uint8), *shape)[0]
    return found


def _noise(rng: np.random.Generator, shape: tuple[int, int], channels: int) -> _Pixels:
    return rng.integers(0, 256, (*shape, channels), np.uint8)


def _blocks(rng: np.random.Generator, shape: tuple[int, int], channels: int) -> _Pixels:
    height, width = shape
    colours = rng.integers(0, 256, (-(-height // _BLOCK), -(-width // _BLOCK), channels), np.uint8)
    return colours.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:height, :width]


def _writing(rng: np.random.Generator, shape: tuple[int, int], channels: int) -> _Pixels:
    """Lines of dark letters on a light ground, of sizes between a twentieth and an eighth of the height."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = shape
    mode = "L" if channels == 1 else "RGB"

    def colour(low: int, high: int) -> tuple[int, ...]:
        return tuple(map(int, rng.integers(low, high, channels)))

    picture = Image.new(mode, (width, height), colour(_PAPER, 256))
    draw = ImageDraw.Draw(picture)
    top = 0
    while top < height:
        size = int(rng.integers(max(8, height // 20), max(9, height // 8)))
        text = "".join(rng.choice(list(_LETTERS), _LINE))
        place = (int(rng.integers(0, max(1, width // 8))), top)
        draw.text(place, text, fill=colour(0, _INK), font=ImageFont.load_default(size))
        top += size + size // 2
    return np.asarray(picture, np.uint8).reshape(height, width, channels)


_DRAWN: Mapping[PictureKind, Callable[[np.random.Generator, tuple[int, int], int], _Pixels]] = MappingProxyType(
    {"smooth": _smooth, "noise": _noise, "blocks": _blocks, "writing": _writing}
)
KINDS = tuple(_DRAWN)
"""What random images show, in their order."""
