"""Preprocessing described as data: Python, C++ and the Android app do the same arithmetic (see `data.pixels`).

Nothing depends on an image library, but for networks evaluated with one: `framing` is what timm does with Pillow.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.framing import Framing
from ofa_edge.data.pixels import BOXED, GREY, normalise, resize
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.records.interface import PictureRecord
from ofa_edge.vocabulary import FILTERS, FITS, Fit

Pixels = NDArray[np.uint8]
_ORDERS: Mapping[int, Literal["RGB", "grey"]] = {1: "grey", 3: "RGB"}


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
        return normalise(images, self.mean, self.std)

    def at(self, size: int) -> "Preprocessing":
        """The same for another input size."""
        return dataclasses.replace(self, size=size)

    def record(self) -> PictureRecord:
        """As a build's interface has it."""
        height, width = self.shape
        return PictureRecord(
            height=height,
            width=width,
            channels=self.channels,
            order=_ORDERS.get(self.channels, "stored"),
            mean=self.mean,
            std=self.std,
            fit=self.fit,
            fill=GREY if self.fit == "letterbox" else None,
            boxed=BOXED,
            **({} if self.framing is None else dataclasses.asdict(self.framing)),
        )

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
