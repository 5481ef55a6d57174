"""Training augmentation, in two steps: draw for a whole batch, then apply to all of it or to some of its rows.

A run over several processes draws in every process from the generator of the step, and applies only its own rows: each
image is changed in the same way whoever changes it. Nothing is drawn for what is turned off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.crops import Ratio, draw_boxes, resample
from ofa_edge.data.preprocess import Pixels
from ofa_edge.errors import ConfigError, DataError

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_DEFAULT_RATIO: Ratio = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Squares:
    """Squares to fill: for each row of the batch its side (0: none) and corner, and what fills them.

    Attributes:
        side: int64 [N], pixels.
        corner: int64 [2, N], top and left; may lie outside the image.
        noise: uint8 [K, S, S, C] for the K rows that have a square, in their order; None: `fill`.
        fill: one value a channel.
    """

    side: NDArray[np.int64]
    corner: NDArray[np.int64]
    noise: Pixels | None = None
    fill: tuple[float, ...] = ()

    def rows(self, part: slice) -> "Squares":
        """Those of some rows."""
        noise = None if self.noise is None else self.noise[(np.cumsum(self.side > 0) - 1)[part][self.side[part] > 0]]
        return Squares(self.side[part], self.corner[:, part], noise, self.fill)

    def fill_in(self, images: Pixels) -> None:
        """Fill the squares of `images` in place."""
        chosen = np.flatnonzero(self.side)
        side, corner = self.side[chosen], self.corner[:, chosen]
        axis = np.arange(images.shape[1])
        rows, columns = ((axis >= c[:, None]) & (axis < (c + side)[:, None]) for c in corner)
        mask = (rows[:, :, None] & columns[:, None, :])[..., None]
        content: Pixels
        if self.noise is not None:
            content = self.noise
        else:
            content = np.floor(np.array(self.fill or (0.0,)) + 0.5).astype(np.uint8)
        images[chosen] = np.where(mask, content, images[chosen])


@dataclass(frozen=True)
class Draws:
    """What was drawn for a batch of N images; every array has one entry an image. None: that step is off.

    Attributes:
        size: side of the result, in pixels.
        boxes: float64 [N, 4], top, left, height and width as shares of the image's side.
        offset: int64 [2, N], rows and columns to shift by, plus `shift`.
        shift: the most that an image is moved.
        mirrored: bool [N].
        brightness, saturation: float32 [N], factors.
        erased: squares of noise.
        cut_out: squares of one value.
    """

    size: int
    boxes: NDArray[np.float64] | None
    offset: NDArray[np.int64]
    shift: int
    mirrored: NDArray[np.bool_] | None
    brightness: NDArray[np.float32] | None
    saturation: NDArray[np.float32] | None
    erased: Squares | None
    cut_out: Squares | None

    def __len__(self) -> int:
        return int(self.offset.shape[1])

    def rows(self, part: slice) -> "Draws":
        """The draws of some rows of the batch."""
        return Draws(
            self.size,
            None if self.boxes is None else self.boxes[part],
            self.offset[:, part],
            self.shift,
            None if self.mirrored is None else self.mirrored[part],
            None if self.brightness is None else self.brightness[part],
            None if self.saturation is None else self.saturation[part],
            None if self.erased is None else self.erased.rows(part),
            None if self.cut_out is None else self.cut_out.rows(part),
        )


def draw(
    rng: np.random.Generator,
    count: int,
    size: int,
    channels: int,
    *,
    flip: bool = False,
    shift: int = 0,
    erase: float = 0.0,
    crop: tuple[float, float] | None = None,
    ratio: Ratio = _DEFAULT_RATIO,
    brightness: float = 0.0,
    saturation: float = 0.0,
    cutout: int = 0,
    fill: Sequence[float] = (),
) -> Draws:
    """Draw for a batch.

    Args:
        rng: the step's generator; the same state and arguments give the same draws.
        count: images in the whole batch.
        size: side of the result, in pixels.
        channels: of the images.
        flip: mirror half of the images left to right.
        shift: move each image by up to this many pixels either way, edges filled with 0 (Lee et al., AISTATS 2015).
        erase: chance that a square of a quarter to a half of the side is filled with noise (Zhong et al., AAAI 2020).
        crop: least and largest share of the area that a random crop keeps, resized to `size`: the crop of Inception
            (Szegedy et al., CVPR 2015), (0.08, 1) there.
        ratio: least and largest width by height of that crop.
        brightness: factors are drawn from 1 - brightness to 1 + brightness (Howard, arXiv:1312.5402); 32/255 in the
            paper's recipe.
        saturation: the same for the distance from grey; 0.5 in the paper's recipe. Nothing changes in grey images.
        cutout: side in pixels of one square, centred anywhere in the image (DeVries and Taylor, arXiv:1708.04552).
        fill: what fills that square, a value for each channel; the mean of the data is what the paper means by 0.

    Raises:
        ConfigError: an argument out of its range; it is named.
    """
    _check(size, channels, shift, erase, crop, ratio, brightness, saturation, cutout, fill)
    # The order of the first four draws is fixed: runs recorded before the others existed are repeated bit for bit.
    offset = rng.integers(0, 2 * shift + 1, size=(2, count))
    mirrored = rng.random(count) < 0.5 if flip else None
    erased = _draw_noise(rng, count, size, channels, erase) if erase else None
    boxes = draw_boxes(rng, count, crop, ratio) if crop else None
    factors = [
        rng.uniform(1 - most, 1 + most, count).astype(np.float32) if most else None
        for most in (brightness, saturation if channels == 3 else 0.0)
    ]
    cut_out = None
    if cutout:
        corner = rng.integers(0, size, size=(2, count)) - cutout // 2
        cut_out = Squares(np.full(count, cutout), corner, None, tuple(fill) or (0.0,) * channels)
    return Draws(size, boxes, offset, shift, mirrored, factors[0], factors[1], erased, cut_out)


def apply(images: Pixels, draws: Draws) -> Pixels:
    """Change images as drawn: crop, shift, mirror, brightness, saturation, erase, cut out.

    Args:
        images: uint8 [N, H, W, C]; square and of any size where crops were drawn, of the drawn size otherwise.
        draws: for the same N images.

    Returns:
        uint8 [N, size, size, C], a new array.

    Raises:
        DataError: images and draws do not fit together.
    """
    count, height, width, _ = images.shape
    if count != len(draws) or height != width or (draws.boxes is None and height != draws.size):
        raise DataError(
            "images do not fit what was drawn for them",
            f"{count} images of {height} x {width}, {len(draws)} draws for {draws.size} x {draws.size}",
            "draw for these images, and resize them first where no crops are drawn",
        )
    if draws.boxes is not None:
        images = resample(images, draws.boxes, draws.size)
    result = _shifted(images, draws.offset, draws.shift)
    if draws.mirrored is not None:
        result[draws.mirrored] = result[draws.mirrored, :, ::-1]
    if draws.brightness is not None or draws.saturation is not None:
        result = _coloured(result, draws.brightness, draws.saturation)
    for squares in (draws.erased, draws.cut_out):
        if squares is not None:
            squares.fill_in(result)
    return result


def augment(images: Pixels, rng: np.random.Generator, *, flip: bool, shift: int, erase: float) -> Pixels:
    """Draw for a batch uint8 [N, S, S, C] and apply it in one go; see `draw`."""
    count, size, _, channels = images.shape
    return apply(images, draw(rng, count, size, channels, flip=flip, shift=shift, erase=erase))


def _draw_noise(rng: np.random.Generator, count: int, size: int, channels: int, chance: float) -> Squares:
    chosen = np.flatnonzero(rng.random(count) < chance)
    drawn_side = rng.integers(size // 4, size // 2 + 1, size=len(chosen))
    drawn_corner = rng.integers(0, size - drawn_side + 1, size=(2, len(chosen)))
    noise = rng.integers(0, 256, size=(len(chosen), size, size, channels), dtype=np.uint8)
    side, corner = np.zeros(count, dtype=np.int64), np.zeros((2, count), dtype=np.int64)
    side[chosen], corner[:, chosen] = drawn_side, drawn_corner
    return Squares(side, corner, noise[drawn_side > 0])


def _shifted(images: Pixels, offset: NDArray[np.int64], shift: int) -> Pixels:
    if shift == 0:
        return images.copy()
    count, size = images.shape[:2]
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(windows[np.arange(count), offset[0], offset[1]].transpose(0, 2, 3, 1))


def _coloured(images: Pixels, brightness: NDArray[np.float32] | None, saturation: NDArray[np.float32] | None) -> Pixels:
    values = images.astype(np.float32)
    if brightness is not None:
        values *= brightness[:, None, None, None]
        np.clip(values, 0, 255, out=values)
    if saturation is not None:
        grey = (values @ _GREY)[..., None]
        values -= grey
        values *= saturation[:, None, None, None]
        values += grey
    values += 0.5
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def _check(
    size: int,
    channels: int,
    shift: int,
    erase: float,
    crop: tuple[float, float] | None,
    ratio: Ratio,
    brightness: float,
    saturation: float,
    cutout: int,
    fill: Sequence[float],
) -> None:
    wrong = {
        f"shift {shift}: 0 or more": shift < 0,
        f"erase {erase}: from 0 to 1": not 0 <= erase <= 1,
        f"crop {crop}: shares of the area, rising, above 0 up to 1": crop is not None
        and not 0 < crop[0] <= crop[1] <= 1,
        f"ratio {ratio}: rising, above 0": not 0 < ratio[0] <= ratio[1],
        f"brightness {brightness}: from 0 to 1": not 0 <= brightness <= 1,
        f"saturation {saturation}: from 0 to 1": not 0 <= saturation <= 1,
        f"cutout {cutout}: from 0 to {size}": not 0 <= cutout <= size,
        f"fill {fill}: {channels} values from 0 to 255": len(fill) not in (0, channels)
        or any(not 0 <= value <= 255 for value in fill),
    }
    for why, holds in wrong.items():
        if holds:
            raise ConfigError("bad augmentation", why, "correct the recipe's [augment]")
