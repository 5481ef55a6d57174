"""Preprocessing described as data, so that Python, the device's runner and the Android app do the same arithmetic.

Resizing is a separable triangle filter (bilinear, widened when shrinking), rounded half up to whole pixel values; then
each channel is normalised in float32. The filter's weights are multiples of 2^-20, so its sums in float64 are exact:
whoever adds them, in whatever order, gets the same pixels. Nothing depends on an image library, but for networks that
were evaluated with one: `framing` is what timm does with Pillow.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.framing import Framing
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.vocabulary import FILTERS, FITS, Fit

Pixels = NDArray[np.uint8]
_WEIGHT_UNIT = 2.0**20  # two passes over 8-bit pixels then take 48 of float64's 53 bits


@dataclass(frozen=True)
class Preprocessing:
    """From raw pixels to a network's input.

    Attributes:
        size: its height, in pixels.
        channels: values a pixel.
        mean, std: by channel, in units of the pixel values 0..255.
        width: in pixels, where it is not the height.
        fit: how a picture of another shape comes into that frame: its middle square, all of it squeezed, or all of it
            with grey bars (see `data.fitted`).
        framing: of a middle square, where it is another filter or a share of it (see `data.framing`).
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    width: int | None = None
    fit: Fit = "crop"
    framing: Framing | None = None

    def __post_init__(self) -> None:
        framed = self.framing is None or (self.fit == "crop" and self.shape[0] == self.shape[1])
        bad = (
            not framed
            or len(self.mean) != self.channels
            or len(self.std) != self.channels
            or min(self.std, default=0) <= 0
        )
        if bad or min(self.shape) < 1:
            raise ConfigError(
                "bad preprocessing",
                f"size {self.shape}, {self.channels} channels, mean {self.mean}, std {self.std}",
                "give one mean and one positive std for each channel",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.size, self.width or self.size

    def apply(self, images: Pixels) -> NDArray[np.float32]:
        """Raw images uint8 [N, H, W, C] -> normalised float32 [N, C, *shape]. Raises DataError on another shape."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != self.channels:
            raise DataError(
                "images do not fit the network",
                f"got {images.dtype} {list(images.shape)}, wanted uint8 [N, H, W, {self.channels}]",
                "check the number of channels of the data against the network's",
            )
        if self.framing is not None and images.shape[1:3] != self.shape:
            return self.normalise(self.framing.apply(images, self.size))
        return self.normalise(resize(images, *self.shape))

    def normalise(self, images: Pixels) -> NDArray[np.float32]:
        """Pixels at the network's size, uint8 [N, H, W, C] -> float32 [N, C, H, W]."""
        mean, std = (np.array(values, dtype=np.float32) for values in (self.mean, self.std))
        scaled = (images.astype(np.float32) - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def at(self, size: int) -> "Preprocessing":
        """The same for another input size."""
        return dataclasses.replace(self, size=size)

    def to_json(self) -> dict[str, Any]:
        """As JSON; width, fit and framing only where they are not the usual ones."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value is not None and value != "crop"}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Preprocessing":
        """Inverse of `to_json`. Raises ConfigError."""
        try:
            mean, std = (tuple(float(item) for item in value[key]) for key in ("mean", "std"))
            width = value.get("width")
            size, channels, fit = int(value["size"]), int(value["channels"]), value.get("fit", "crop")
            if fit not in FITS:
                raise ValueError(f"no fit {fit!r}")
            framing = None if (said := value.get("framing")) is None else Framing(said["filter"], float(said["share"]))
            if framing is not None and (framing.filter not in FILTERS or not 0 < framing.share <= 1):
                raise ValueError(f"no framing {said!r}")
            return cls(size, channels, mean, std, None if width is None else int(width), fit, framing)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("bad preprocessing", f"{type(error).__name__}: {error}", "rebuild the file") from error


def asked_statistics(
    mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels 0..255 as a user gave them, one for each channel.

    Args:
        mean: one value, or one for each channel.
        std: likewise.
        channels: of the network's images.

    Raises:
        ConfigError: they do not fit, or are of pixels 0..1; says what to give.
    """
    means, stds = tuple(mean or ()), tuple(std or ())
    given = f"--mean {_words(means)} --std {_words(stds)}"
    if not {len(means), len(stds)} <= {1, channels}:
        why = f"{given}; the network takes {channels} channel{'' if channels == 1 else 's'}"
        hint = "--mean and --std as in training, for pixels 0..255: one value, or one for each channel with commas"
        raise ConfigError("pixel statistics do not fit the network", why, hint)
    if not (all(map(math.isfinite, (*means, *stds))) and min(stds) > 0):
        raise ConfigError("bad pixel statistics", given, "give numbers, those of --std above 0")
    if min(stds) < 1:
        larger = f"--mean {_words(255 * value for value in means)} --std {_words(255 * value for value in stds)}"
        raise ConfigError("pixel statistics are of pixels 0..1", f"{given}; wanted are those of 0..255", larger)
    return means if len(means) == channels else means * channels, stds if len(stds) == channels else stds * channels


def _words(values: Iterable[float]) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def resize(images: Pixels, size: int, width: int | None = None) -> Pixels:
    """uint8 [N, H, W, C] -> uint8 [N, size, width or size, C]. Another shape is squeezed: crop where that matters."""
    shape = (size, width or size)
    if images.shape[1:3] == shape:
        return images
    rows, columns = (triangle_filter(*sides) for sides in zip(images.shape[1:3], shape, strict=True))
    result = np.empty((len(images), *shape, images.shape[3]), dtype=np.uint8)
    for start in range(0, len(images), 1024):  # bounds the float64 copy
        part = images[start : start + 1024].astype(np.float64)
        part = np.einsum("yh,nhwc->nywc", rows, part, optimize=True)
        part = np.einsum("xw,nywc->nyxc", columns, part, optimize=True)
        result[start : start + 1024] = np.clip(np.floor(part + 0.5), 0, 255).astype(np.uint8)
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
