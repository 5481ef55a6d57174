"""From a photo's pixels to a network's input, and to the numbers that a tensor stores: the arithmetic alone.

Nothing of ofa-edge is imported: builds carry this file as `example/pixels.py`. The same in C++ is
`example/files/cpp/ofa_pixels.h`, and in Java the Android app's `Resize`, `Picture` and `Channels`; tests hold all three
to the same pixels.

Resizing is a separable triangle filter (bilinear, widened when shrinking), rounded half up to whole pixel values; then
each channel is normalised in float32. The filter's weights are multiples of 2^-20, so its sums in float64 are exact:
whoever adds them, in whatever order, gets the same pixels. Nothing depends on an image library but the averaging over
boxes that large photos begin with, which is Pillow's.
"""

from __future__ import annotations  # a board's Python may be older than this project's

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

GREY = 114  # around a letterboxed picture, as in YOLO's family
BOXED = 4  # a picture of so many times the wanted size is first averaged over boxes, to twice the size
_WEIGHT_UNIT = 2.0**20  # two passes over 8-bit pixels then take 48 of float64's 53 bits
_CHUNK = 1024  # images at a time: bounds the wide copies


def fitted(
    photo: Pixels, shape: tuple[int, int], fit: str, channels: int, shrink: Callable[..., Pixels] | None = None
) -> Pixels:
    """A photo of any shape in a network's frame.

    Args:
        photo: uint8 [H, W, 1 or 3], colours in the order red, green, blue.
        shape: height and width of the frame.
        fit: "crop": its middle square; "squeeze": all of it; "letterbox": all of it as it is, with grey bars.
        channels: of the network.
        shrink: in place of `shrunk`.

    Returns:
        uint8 [*shape, channels].
    """
    if fit == "crop":
        side = min(photo.shape[:2])
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        photo = photo[top : top + side, left : left + side]
    x, y, width, height = (0, 0, shape[1], shape[0])
    if fit == "letterbox":
        x, y, width, height = letterbox((photo.shape[1], photo.shape[0]), shape)
    pixels = np.full((*shape, channels), GREY, np.uint8)
    pixels[y : y + height, x : x + width] = (shrink or shrunk)(photo, channels, (height, width))
    return pixels


def letterbox(size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture of this width and height lies in a frame of this height and width: x, y, width, height."""
    (width, height), (rows, columns) = size, shape
    ratio = min(columns / width, rows / height)
    inner = max(1, round(width * ratio)), max(1, round(height * ratio))
    return (columns - inner[0]) // 2, (rows - inner[1]) // 2, *inner


def placed(size: tuple[int, int], shape: tuple[int, int], fit: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a picture of this width and height lies in a frame of this height and width: scale and offset of x and y.

    A point (x, y) of the picture lies at (x, y) * scale + offset; an offset is negative where the picture is cut off.
    """
    (width, height), (rows, columns) = size, shape
    if fit == "squeeze":
        return (columns / width, rows / height), (0.0, 0.0)
    if fit == "crop":
        side = min(size)
        scale = columns / side, rows / side
        return scale, (-((width - side) // 2) * scale[0], -((height - side) // 2) * scale[1])
    x, y, *inner = letterbox(size, shape)
    return (inner[0] / width, inner[1] / height), (float(x), float(y))


def shrunk(photo: Pixels, channels: int, shape: tuple[int, int]) -> Pixels:
    """uint8 [H, W, 1 or 3] -> uint8 [*shape, channels], squeezed; a large photo is averaged over boxes first."""
    if photo.shape[0] >= BOXED * shape[0] and photo.shape[1] >= BOXED * shape[1]:
        photo = boxed(photo, (2 * shape[0], 2 * shape[1]))
    return np.asarray(resize(to_channels(photo, channels)[np.newaxis], *shape)[0])


def boxed(photo: Pixels, shape: tuple[int, int]) -> Pixels:
    """Averaged over boxes of pixels, in Pillow's own fixed-point arithmetic."""
    from PIL import Image

    image = Image.fromarray(photo[..., 0] if photo.shape[2] == 1 else np.ascontiguousarray(photo))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BOX), np.uint8).reshape(*shape, -1)


def to_channels(images: Pixels, channels: int) -> Pixels:
    """uint8 [..., 1 or 3] -> uint8 [..., channels].

    Colour to grey is the luma of ITU-R BT.601 in 16-bit fixed point, rounded (Pillow's mode L gives the same values);
    grey to colour repeats the one channel.
    """
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    result = np.empty((*images.shape[:-1], 1), dtype=np.uint8)
    for start in range(0, len(images), _CHUNK):
        red, green, blue = np.moveaxis(images[start : start + _CHUNK].astype(np.uint32), -1, 0)
        grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        result[start : start + _CHUNK, ..., 0] = grey
    return result


def resize(images: Pixels, size: int, width: int | None = None) -> Pixels:
    """uint8 [N, H, W, C] -> uint8 [N, size, width or size, C]. Another shape is squeezed: crop where that matters."""
    shape = (size, width or size)
    if images.shape[1:3] == shape:
        return images
    return filtered(images, *(triangle_filter(*sides) for sides in zip(images.shape[1:3], shape)))  # noqa: B905 (3.9)


def filtered(images: Pixels, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Pixels:
    """uint8 [N, H, W, C] under weights [h, H] and [w, W]: uint8 [N, h, w, C], rounded half up."""
    result = np.empty((len(images), len(rows), len(columns), images.shape[3]), dtype=np.uint8)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK].astype(np.float64)
        part = np.einsum("yh,nhwc->nywc", rows, part, optimize=True)
        part = np.einsum("xw,nywc->nyxc", columns, part, optimize=True)
        result[start : start + _CHUNK] = np.clip(np.floor(part + 0.5), 0, 255).astype(np.uint8)
    return result


@functools.lru_cache(maxsize=64)
def triangle_filter(length: int, size: int) -> NDArray[np.float64]:
    """Weights [size, length] of the triangle filter, pixel centres at half integers; multiples of 2^-20."""
    scale = length / size
    support = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(np.rint(weights / weights.sum(1, keepdims=True) * _WEIGHT_UNIT) / _WEIGHT_UNIT)


def normalise(images: Pixels, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W], by channel (pixel - mean) / std."""
    scaled = (images.astype(np.float32) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def quantise(values: NDArray[np.float32], dtype: Any, scale: float, zero_point: int) -> NDArray[Any]:
    """Float values as a tensor of `dtype` stores them: round(value / scale) + zero_point, saturated.

    A float tensor, which TFLite marks with scale 0, keeps its values.
    """
    if not scale:
        return np.ascontiguousarray(values, dtype)
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.asarray(steps.clip(limits.min, limits.max), dtype)


def dequantise(values: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """The inverse of `quantise`, but for rounding."""
    floats = values.astype(np.float32)
    return (floats - np.float32(zero_point)) * np.float32(scale) if scale else floats
