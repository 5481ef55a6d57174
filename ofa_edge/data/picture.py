"""One picture of any kind -> square uint8 pixels: every mode, orientation and size is handled on purpose.

- EXIF orientation is applied.
- Transparency (alpha, or a transparent palette entry) is laid over white: what lies hidden under it is not data.
- 16-bit grey is scaled to 8 bits by 255/65535, rounded; wider or floating-point pixels have no agreed range: refused.
- CMYK and YCbCr are converted by Pillow's own formulas; colour profiles are not applied.
- Of an animation, the first frame is taken.
- The central square is cropped, then brought to the wanted size by `preprocess.resize`. A square of four times that
  size or more is first averaged over boxes of pixels, down to twice the size: photographs are read many times faster.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ofa_edge.data.channels import to_channels
from ofa_edge.data.preprocess import Pixels, resize
from ofa_edge.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


def read_picture(path: Path, channels: int, size: int) -> Pixels:
    """Read an image file -> uint8 [size, size, channels].

    Raises:
        DataError: the file cannot be read, is truncated, or has pixels that have no agreed range; it is named.
    """
    try:
        with Image.open(path) as image:
            return square_pixels(ImageOps.exif_transpose(image), channels, size)
    except DataError as error:
        raise DataError(error.what, f"{path}: {error.why}", error.hint) from error
    except Exception as error:  # Pillow's readers raise a dozen kinds, SyntaxError and struct.error among them
        raise _unreadable(path, error) from error


def is_grey(path: Path) -> bool:
    """Whether an image file has no colour, by its header. Raises DataError if it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.mode in _GREY_MODES
    except Exception as error:
        raise _unreadable(path, error) from error


def square_pixels(image: Image.Image, channels: int | None, size: int) -> Pixels:
    """A Pillow image -> its central square, uint8 [size, size, channels]; `channels` None: as the image has them."""
    image = _plain(image)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    if side >= 4 * size:
        image = image.resize((2 * size, 2 * size), Image.Resampling.BOX)
    pixels: Pixels = np.asarray(image, dtype=np.uint8)
    pixels = to_channels(pixels.reshape(1, *image.size[::-1], -1), channels)
    return np.ascontiguousarray(resize(pixels, size)[0])


def square_array(pixels: Pixels, channels: int | None, size: int) -> Pixels:
    """The same for an array uint8 [H, W, C] of 1, 3 or 4 channels (the fourth is alpha)."""
    grey = pixels.shape[2] == 1
    return square_pixels(Image.fromarray(pixels[..., 0] if grey else pixels), channels, size)


def _plain(image: Image.Image) -> Image.Image:
    """Any image as mode L or RGB."""
    if image.mode in _WIDE_MODES:
        return _narrow(image)
    if image.mode == "F":
        raise DataError("floating-point pixels", "their range is not known", "save the images with 8 bits a channel")
    if image.has_transparency_data:
        grey = image.mode in _GREY_MODES
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image.alpha_composite(layer)
        return image.convert("L" if grey else "RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit; Pillow's own conversion would clip at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise DataError(
            "pixels beyond 16 bits", f"from {values.min()} to {values.max()}", "save the images with 8 or 16 bits"
        )
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = str(error).replace(f" '{path}'", "") or type(error).__name__
    return DataError("an image that cannot be read", f"{path}: {reason}", "remove or replace the file")
