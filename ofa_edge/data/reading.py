"""How the values in image files become pixels 0..255, and what values a set's files were found to hold.

It is part of a recipe (`[data] value_range`, `channel_order`) and travels with the weights: images that come later have
to be read as the training's were.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.framing import Framing
from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import ConfigError, DataError

Order = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Reading:
    """How values become pixels.

    Attributes:
        value_range: the values of the files that become 0 and 255, those between in proportion, those beyond clipped;
            None: the whole range of the container (0..255, 0..65535).
        channel_order: "bgr" where the files hold blue first: it is turned round.
        framing: how a picture comes into its frame, where a given network says so; no part of a recipe.
    """

    value_range: tuple[float, float] | None = None
    channel_order: Order = "rgb"
    framing: Framing | None = None

    def __post_init__(self) -> None:
        low, high = self.value_range or (0.0, 1.0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high) or self.channel_order not in ("rgb", "bgr"):
            raise ConfigError(
                "bad way of reading",
                f"value_range {self.value_range}, channel_order {self.channel_order!r}",
                'give value_range = [low, high], low below high, and channel_order = "rgb" or "bgr"',
            )

    @property
    def words(self) -> str:
        """As the keys of a recipe; empty where nothing is changed."""
        parts = [] if self.value_range is None else [f"value_range = {range_words(*self.value_range)}"]
        return ", ".join(parts + (['channel_order = "bgr"'] if self.channel_order == "bgr" else []))

    def narrowed(self, values: NDArray[np.integer[Any]], bits: int) -> Pixels:
        """Values of 8 or 16 bits as pixels, rounded."""
        pixels: Pixels = _table(self.value_range, bits)[values]
        return pixels

    def scaled(self, values: NDArray[np.floating[Any]]) -> Pixels:
        """Floating-point values as pixels, rounded; wants a value range."""
        assert self.value_range is not None
        return _scaled(values, *self.value_range)

    def of_pixels(self, images: Pixels) -> Pixels:
        """uint8 [..., C] that no file is read for."""
        if self.value_range is not None:
            images = self.narrowed(images, 8)
        return self.ordered(images)

    def ordered(self, images: Pixels) -> Pixels:
        """uint8 [..., C] with red first."""
        return images[..., ::-1] if self.channel_order == "bgr" and images.shape[-1] == 3 else images

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"value_range": self.value_range and list(self.value_range), "channel_order": self.channel_order}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reading":
        """Inverse of `to_json`. Raises ConfigError, KeyError, TypeError or ValueError where it is none."""
        limits = value["value_range"]
        if limits is None:
            return cls(None, value["channel_order"])
        low, high = limits
        return cls((float(low), float(high)), value["channel_order"])


AS_STORED = Reading()


@functools.lru_cache(maxsize=8)
def _table(value_range: tuple[float, float] | None, bits: int) -> Pixels:
    """The pixel of each value of a container, uint8 [2 ** bits]."""
    top = 2**bits - 1
    values = np.arange(top + 1)
    if value_range is None:
        pixels: Pixels = ((values * 255 + top // 2) // top).astype(np.uint8)
        return pixels
    return _scaled(values.astype(np.float64), *value_range)


def _scaled(values: NDArray[np.floating[Any]], low: float, high: float) -> Pixels:
    share: NDArray[np.float64] = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    pixels: Pixels = np.floor(share * 255 + 0.5).astype(np.uint8)
    return pixels


def range_words(low: float, high: float) -> str:
    """A range as a recipe has it."""
    return f"[{low:.10g}, {high:.10g}]"


@dataclass(frozen=True)
class Values:
    """What files hold, before anything is made of it.

    Attributes:
        bits: of the container: 8, 16, or 32 for floating point.
        low, high: least and largest value; of what is transparent none counts.
        cut: 16-bit colour, of which Pillow keeps the upper 8 bits only.
    """

    bits: int
    low: float
    high: float
    cut: bool = False

    @property
    def top(self) -> float:
        """The largest value that the container can hold; of floating point there is none."""
        return math.inf if self.bits == 32 else 2.0**self.bits - 1

    @classmethod
    def of_set(cls, found: Iterable[tuple[str, "Values"]], where: str) -> "Values | None":
        """Of all files together; None for no file.

        Args:
            found: each file's name and values.
            where: for the error.

        Raises:
            DataError: files of several containers, of which no value means the same.
        """
        first: dict[int, str] = {}
        counts: dict[int, int] = {}
        values = []
        for name, one in found:
            first.setdefault(one.bits, name)
            counts[one.bits] = counts.get(one.bits, 0) + 1
            values.append(one)
        if len(first) > 1:
            kinds = [f"{counts[bits]} of {_KINDS[bits]} (the first: {first[bits]})" for bits in sorted(first)]
            raise DataError(
                "images of 8 bits are mixed with wider ones",
                f"{where}: {', '.join(kinds)}",
                "save all images in one way: how a file is stored must not tell its class",
            )
        if not values:
            return None
        low, high = min(one.low for one in values), max(one.high for one in values)
        return cls(values[0].bits, low, high, any(one.cut for one in values))


_KINDS = {8: "8 bits", 16: "16-bit grey", 32: "floating point"}
