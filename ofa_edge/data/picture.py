"""One picture of any kind -> square uint8 pixels: every mode, orientation and size is handled on purpose.

- A file is opened as one of FORMATS, whatever its name; no other reader of Pillow ever sees it.
- EXIF orientation is applied.
- Transparency (alpha, or a transparent palette entry) is laid over white: what lies hidden under it is not data.
- Values become pixels as `Reading` says: 16-bit grey is scaled to 8 bits by 255/65535, rounded, where it says nothing;
  wider or floating-point pixels have no agreed range: they want one, or are refused.
- CMYK and YCbCr are converted by Pillow's own formulas; colour profiles are not applied.
- Of an animation, the first frame is taken.
- The central square is cropped, then brought to the wanted size by `pixels.resize`. A square of four times that
  size or more is first averaged over boxes of pixels, down to twice the size: photographs are read many times faster.
  A JPEG of eight times that size or more is decoded at a half, a quarter or an eighth to begin with.
- Pictures of up to PIXEL_LIMIT pixels are read. Large ones are decoded one at a time, if they fit into memory.
"""

import contextlib
import dataclasses
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ofa_edge.data.channels import to_channels
from ofa_edge.data.memory import require_bytes
from ofa_edge.data.pixels import BOXED, resize
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED, Reading, Values
from ofa_edge.errors import DataError
from ofa_edge.files import open_regular

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm"),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
PIXEL_LIMIT = 400_000_000
"""A square of 20,000: twice the largest photographs of phones. What claims more is an attack, a map or a mistake."""

_ALONE = 24_000_000  # pixels from which pictures are decoded one at a time
_BYTES = 12  # a pixel, while a picture is decoded, cropped and laid over white: three copies of 4 bytes
_COEFFICIENTS = 6  # bytes a pixel of a progressive JPEG, which is held whole whatever size it is decoded at
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_SIXTEEN = re.compile(r";16[BLN]")  # in what Pillow says of a file's pixels: 16 bits a channel
_large = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A picture that was read: uint8 [size, size, channels], and the values that it was made of."""

    pixels: Pixels
    values: Values


def read_picture(path: Path, channels: int, size: int, reading: Reading = AS_STORED) -> Picture:
    """Read an image file.

    Raises:
        DataError: the file cannot be read, is truncated, is too large, or has pixels that have no agreed range; it is
            named.
    """
    with opened(path) as image:
        full = image.width * image.height
        tiles = getattr(image, "tile", ())
        cut = image.mode not in _WIDE_MODES and any(_SIXTEEN.search(str(tile[3])) for tile in tiles)
        if reading.framing is None:
            image.draft(None, (4 * size, 4 * size))
        with room_for(image, full):
            ImageOps.exif_transpose(image, in_place=True)
            made = square_picture(image, channels, size, reading)
    return dataclasses.replace(made, values=dataclasses.replace(made.values, cut=cut))


def is_grey(path: Path) -> bool:
    """Whether an image file has no colour, by its header. Raises DataError if it cannot be read."""
    with opened(path) as image:
        return image.mode in _GREY_MODES


def square_picture(image: Image.Image, channels: int | None, size: int, reading: Reading = AS_STORED) -> Picture:
    """A Pillow image -> its central square; `channels` None: as the image has them."""
    if reading.framing is not None:
        image, values = plain(image, reading)
        return Picture(scaled(reading.framing.frame(image, size), channels, (size, size), reading), values)
    image, values = plain(middle_square(image), reading)
    return Picture(scaled(image, channels, (size, size), reading), values)


def middle_square(image: Image.Image) -> Image.Image:
    """Of a picture of any shape."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def scaled(image: Image.Image, channels: int | None, shape: tuple[int, int], reading: Reading = AS_STORED) -> Pixels:
    """A picture of mode L or RGB -> uint8 [*shape, channels], squeezed into it."""
    height, width = shape
    if image.width >= BOXED * width and image.height >= BOXED * height:
        image = image.resize((2 * width, 2 * height), Image.Resampling.BOX)
    pixels: Pixels = np.asarray(image, dtype=np.uint8)
    pixels = to_channels(reading.ordered(pixels.reshape(1, *image.size[::-1], -1)), channels)
    return np.ascontiguousarray(resize(pixels, height, width)[0])


def square_array(pixels: Pixels, channels: int | None, size: int, reading: Reading = AS_STORED) -> Picture:
    """The same for an array uint8 [H, W, C] of 1, 3 or 4 channels (the fourth is alpha)."""
    grey = pixels.shape[2] == 1
    return square_picture(Image.fromarray(pixels[..., 0] if grey else pixels), channels, size, reading)


def plain(image: Image.Image, reading: Reading) -> tuple[Image.Image, Values]:
    """Any image as mode L or RGB, and the values that it had."""
    if image.mode in _WIDE_MODES or image.mode == "F":
        return _narrow(image, reading)
    grey, layered = image.mode in _GREY_MODES, image.has_transparency_data
    mode = ("LA" if grey else "RGBA") if layered else ("L" if grey else "RGB")
    image = image if image.mode == mode else image.convert(mode)
    values = _values(image, layered)
    if reading.value_range is not None:
        table = reading.narrowed(np.arange(256), 8).tolist()
        image = image.point(table * (1 if grey else 3) + (list(range(256)) if layered else []))
    if layered:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image.alpha_composite(layer)
        image = image.convert("L" if grey else "RGB")
    return image, values


def _values(image: Image.Image, layered: bool) -> Values:
    if layered:
        array = np.asarray(image)
        seen = array[array[..., -1] > 0][:, :-1]
        return Values(8, int(seen.min()), int(seen.max())) if seen.size else Values(8, 255, 255)
    extremes = np.array(image.getextrema())
    return Values(8, int(extremes.min()), int(extremes.max()))


def _narrow(image: Image.Image, reading: Reading) -> tuple[Image.Image, Values]:
    """Wide grey as 8-bit; Pillow's own conversion would clip at 255."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    hint = "save the images with 8 or 16 bits a channel, or give value_range = [low, high] in the recipe's [data]"
    if not np.isfinite([low, high]).all():
        raise DataError("pixels that are not numbers", f"from {low} to {high}", "save the images with 8 or 16 bits")
    if image.mode == "F" or not 0 <= low <= high <= 65535:
        if reading.value_range is None:
            what = "floating-point pixels" if image.mode == "F" else "pixels beyond 16 bits"
            raise DataError(what, f"from {low:g} to {high:g}: their range is not known", hint)
        return Image.fromarray(reading.scaled(values)), Values(32, float(low), float(high))
    return Image.fromarray(reading.narrowed(values, 16)), Values(16, int(low), int(high))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture's header; what goes wrong while it is open is told with the file's name."""
    try:
        with _own_limit(), open_regular(path) as file, Image.open(file, formats=tuple(FORMATS)) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise DataError(
                    "a picture too large to be read",
                    f"{image.width} x {image.height} pixels; up to {PIXEL_LIMIT / 1e6:.0f} million are read",
                    "scale it down, or cut it into pieces",
                )
            yield image
    except DataError as error:
        raise DataError(error.what, f"{path}: {error.why}", error.hint) from error
    except Exception as error:  # Pillow's readers raise a dozen kinds, SyntaxError and struct.error among them
        raise _unreadable(path, error) from error


@contextlib.contextmanager
def room_for(image: Image.Image, full: int) -> Iterator[None]:
    """Decode large pictures one at a time, and only what fits into memory.

    Args:
        image: as it will be decoded.
        full: pixels of the file.
    """
    pixels = image.width * image.height
    held = full * _COEFFICIENTS if image.info.get("progressive") else 0
    if pixels < _ALONE and held < _ALONE * _BYTES:
        yield
        return
    with _large:
        require_bytes(pixels * _BYTES + held, f"a picture of {full / 1e6:.0f} million pixels", "scale it down")
        yield


class _OwnLimit:
    """Pillow's limit on pixels, and its warning at the half of it, turned off while PIXEL_LIMIT stands in its place.

    The limit is a global of Pillow's, read when a file is opened and again when it is cropped. It is put back when the
    last of the threads that read here is done.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    Image.MAX_IMAGE_PIXELS = self._limit


_own_limit = _OwnLimit()


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, UnidentifiedImageError):
        empty = path.stat().st_size == 0 if path.exists() else False
        reason = "the file is empty (0 bytes)" if empty else f"none of {', '.join(FORMATS)}"
    else:
        reason = str(error).replace(f" '{path}'", "").replace(f": {str(path)!r}", "") or type(error).__name__
    return DataError("an image that cannot be read", f"{path}: {reason}", "remove or replace the file")
