"""Grey from colour, colour from grey, and the statistics of each channel."""

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data import pixels
from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import ConfigError, DataError

CHANNELS = (1, 3)
_CHUNK = 1024  # images at a time: bounds the wide copies


def check_channels(channels: int | None) -> None:
    """Raise ConfigError unless `channels` is 1, 3 or None (as the data have them)."""
    if channels is not None and channels not in CHANNELS:
        raise ConfigError(
            f"{channels} channels", "images are read as grey (1) or colour (3)", "ask for 1 or 3 channels"
        )


def to_channels(images: Pixels, channels: int | None) -> Pixels:
    """uint8 [..., 1 or 3] -> uint8 [..., channels] as `pixels.to_channels` does; None leaves them as they are."""
    check_channels(channels)
    return images if channels is None else pixels.to_channels(images, channels)


def channel_histograms(images: Pixels) -> NDArray[np.int64]:
    """How often each value occurs in each channel of uint8 [N, H, W, C]: int64 [C, 256]."""
    counts = np.zeros((images.shape[3], 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        for channel in range(len(counts)):
            counts[channel] += np.bincount(images[start : start + _CHUNK, ..., channel].ravel(), minlength=256)
    return counts


def pixel_statistics(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (of the whole population) of each channel, in units of the pixel values 0..255.

    Sums are exact integers, so the order of the images does not matter.

    Args:
        images: uint8 [N, H, W, C]; give the training part only.

    Raises:
        DataError: no images, or a channel that has one value everywhere (it cannot be normalised).
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise DataError(
            "no statistics of these images",
            f"{images.dtype} {list(images.shape)}, wanted uint8 [N, H, W, C] with N > 0",
            "give the training images",
        )
    values = np.arange(256, dtype=np.int64)
    mean, std = [], []
    for channel, counts in enumerate(channel_histograms(images)):
        total, first, second = (int((counts * values**power).sum()) for power in range(3))
        if first * first == second * total:
            raise DataError(
                f"channel {channel} has one value in every image",
                f"{first // total} in all of {len(images)} images",
                "check the images, or give mean and std yourself",
            )
        mean.append(first / total)
        std.append(float(np.sqrt((total * second - first * first) / total**2)))  # integers: nothing cancels
    return tuple(mean), tuple(std)
