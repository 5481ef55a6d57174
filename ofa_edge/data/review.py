"""What a set of images looks like as a whole: what was lost in reading, and what does not fit, refused or said.

Every fault here passes all later checks: a network trained on 16 shades, or on blue for red, is compared with itself.
The rules, with the recipe key that mends each, are in docs/data.md.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.channels import channel_histograms
from ofa_edge.data.dataset import Dataset, Images, class_counts
from ofa_edge.data.preprocess import Pixels
from ofa_edge.data.reading import AS_STORED, Reading, Values, range_words
from ofa_edge.errors import DataError

FEW = 20
"""Training images below which a class is told to have few."""

_NAMED = 5
_ASKED_FIRST = 16  # pixels of an image
_REFUSED = {8: 1 / 8, 16: 1 / 4, 32: 1 / 8}  # share of the container or value range below which a set is refused
_SAID = {8: 1 / 4, 16: 1 / 2, 32: 1 / 4}
_FLAT = 2  # pixel values between the darkest and the brightest pixel of an image without content
_LEAKED = 0.01  # share of the test images that are in the training part too


@dataclass(frozen=True)
class Expected:
    """The statistics that pixels will be normalised with, and what to do where they do not fit."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    whose: str
    hint: str


def review_set(
    data: Dataset,
    reading: Reading = AS_STORED,
    expected: Expected | None = None,
    *,
    channels_given: bool = False,
    settled: bool = False,
) -> Dataset:
    """Look at a whole set in memory.

    Args:
        data: as it was read.
        reading: that it was read with.
        expected: mean and standard deviation that are known beforehand; None where they are computed from these images.
        channels_given: whether the number of channels was asked for, not found.
        settled: whether the way of reading is given with the weights of a supernet: no recipe can mend it.

    Returns:
        The same data; its notes say what may be wrong, a sentence each.

    Raises:
        DataError: a class without training images, values that fill a sliver of what they are stored in, images without
            content, or a mean and standard deviation that cannot be those of such images.
    """
    both = (data.train, data.test)
    notes = _class_notes(data, settled)
    histograms = [channel_histograms(part.pixels) for part in both]
    notes += _range_notes(data, reading, np.sum(histograms, (0, 1)), settled)
    flat = [_flat(part) for part in both]
    if all(part.all() for part in flat):
        raise DataError(
            "every image is of one colour",
            f"{data.name}: {len(data.train)} training and {len(data.test)} test images without content",
            "look at the files; value_range in the recipe's [data] must lie among the values that they hold",
        )
    notes += [
        f"{data.name}: {int(part.sum())} of {len(part)} {name} images are of one colour"
        for name, part in zip(("training", "test"), flat, strict=True)
        if part.any()
    ]
    if data.channels == 3:
        notes += _grey_notes(data, channels_given or settled)
    if expected is not None:
        notes += _statistics_notes(data, histograms[0], expected, settled)
    notes += _leak_notes(data, flat)
    return dataclasses.replace(data, notes=(*data.notes, *notes))


def _class_notes(data: Dataset, settled: bool) -> list[str]:
    train, test = (class_counts(part, len(data.class_names)) for part in (data.train, data.test))
    names = np.array(data.class_names, dtype=object)
    if not train.all():
        raise DataError(
            "a class without training images", f"{data.name}: {_some(names[train == 0])}", "add images of it"
        )
    few: list[str] = []
    if settled:  # training itself says it of what is left once images are held out
        few = [f"{name} {count}" for name, count in zip(names, train, strict=True) if count < FEW]
    notes = [f"{data.name}: few training images: {_some(few)}"] if few else []
    return notes + ([] if test.all() else [f"{data.name}: no test image of {_some(names[test == 0])}"])


def _flat(images: Images) -> NDArray[np.bool_]:
    return _where(images, lambda pixels: (np.ptp(pixels, axis=1) < _FLAT).all(-1))


def _is_grey(images: Images) -> NDArray[np.bool_]:
    return _where(images, lambda pixels: (pixels[..., 1:] == pixels[..., :1]).all((1, 2)))


def _where(images: Images, holds: Callable[[Pixels], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """For which images something holds of all pixels; it is asked of a few pixels of each first.

    Args:
        images: any number.
        holds: for uint8 [N, P, C], P pixels of each image, whether it holds, bool [N].
    """
    pixels = images.pixels.reshape(len(images), -1, images.pixels.shape[3])
    found = holds(pixels[:, :: max(1, pixels.shape[1] // _ASKED_FIRST)])
    for index in np.flatnonzero(found):
        found[index] = holds(pixels[index : index + 1])[0]
    return found


def _range_notes(data: Dataset, reading: Reading, histogram: NDArray[np.int64], settled: bool) -> list[str]:
    """Refuse or say that values fill a sliver of what they are stored in.

    Args:
        data: with what its files hold, where they were read as pictures.
        reading: that it was read with.
        histogram: of all pixels int64 [256].
        settled: see `review_set`.
    """
    seen = np.flatnonzero(histogram)
    values = data.values or Values(8, float(seen[0]), float(seen[-1]))
    given = reading.value_range
    low, high = given or (0.0, values.top)
    if given and high > values.top:
        raise DataError(
            "value_range is for other images",
            f"{data.name}: value_range = {range_words(*given)}, and these of {values.bits} bits end at {values.top:g}",
            "give images as the training's were, or correct value_range in the recipe's [data]",
        )
    share = (min(values.high, high) - max(values.low, low)) / (high - low)
    words = f"{data.name}: values from {values.low:,.6g} to {values.high:,.6g} of {low:,.6g} to {high:,.6g}"
    trained = "give images stored as those of the training, or train with " if settled else ""
    key = f"value_range = {range_words(*_suggested(values))}"
    if values.cut:
        key = "save them with 8 bits a channel, scaled: of 16-bit colour only the upper 8 bits can be read"
    if share < _REFUSED[values.bits] and values.low < values.high:
        levels = int((histogram > 0).sum())
        raise DataError(
            "the images use only a sliver of the range that they are stored in",
            f"{words}; {levels} of 256 levels would be left",
            key if values.cut else f"{trained}{key} in the recipe's [data]",
        )
    if share < _SAID[values.bits]:
        return [f"{words}: the rest of the range is empty; {key} would use all of it"]
    if given and (values.low < low or values.high > high):
        return [f"{words}: what lies beyond value_range is clipped"]
    most = int(np.searchsorted(np.cumsum(histogram), 0.999 * histogram.sum()))  # 99.9 % of the pixels are up to this
    if values.bits == 16 and not given and (most + 1) / 256 < _REFUSED[16]:
        key = f"value_range = {range_words(*_suggested(Values(16, 0, most * 257 - 128)))}"  # the least such value
        return [f"{words}, 99.9 % of them below {most * 257 + 129:,}: a few bright pixels set the scale; see {key}"]
    return []


def _suggested(values: Values) -> tuple[float, float]:
    """A value range for a set: from 0 to the last value of so many bits, or what there is where that begins high."""
    if values.bits == 32 or values.low > values.high / 2:
        return values.low, values.high
    return 0, 2 ** max(1, math.ceil(math.log2(values.high + 1))) - 1


def _grey_notes(data: Dataset, given: bool) -> list[str]:
    grey = [_is_grey(part) for part in (data.train, data.test)]
    if all(part.all() for part in grey):
        if given:
            return []
        return [f"{data.name}: the three channels of every image are equal; channels = 1 in [data] needs less work"]
    train = grey[0]
    counts = class_counts(data.train, len(data.class_names))
    of_class = np.bincount(data.train.labels, train, minlength=len(counts)).astype(np.int64)
    whole = [name for name, count, found in zip(data.class_names, counts, of_class, strict=True) if count == found]
    if whole and of_class[of_class != counts].sum() == 0:
        return [
            f"{data.name}: every image of {_some(whole)} is grey and none of the others: "
            "that alone would tell these classes"
        ]
    return []


def _statistics_notes(data: Dataset, histograms: NDArray[np.int64], expected: Expected, settled: bool) -> list[str]:
    """Hold the data's mean and standard deviation against those that pixels will be normalised with.

    The data's, normalised, would be mean 0 and std 1. Refused: |mean| over 5, std under 0.1 or over 10. Said: |mean|
    over 0.5, std under 0.5 or over 2; and channels turned round, where a mean is off by 0.1 and by less than half of
    that the other way round.
    """
    mean, std = _moments(histograms)
    wanted, scale = np.array(expected.mean), np.array(expected.std)
    off, ratio = (mean - wanted) / scale, std / scale
    words = f"{data.name}: mean {_figures(mean)} and std {_figures(std)}, {expected.whose} {_figures(wanted)} and "
    words += _figures(scale)
    if np.abs(off).max() > 5 or ratio.min() < 0.1 or ratio.max() > 10:
        raise DataError("mean and std cannot be those of these images", f"{words} (pixels are 0..255)", expected.hint)
    turned = np.abs((mean[::-1] - wanted) / scale).max()
    if len(mean) == 3 and np.abs(off).max() >= 0.1 and turned <= np.abs(off).max() / 2:
        mend = "give them red first" if settled else 'channel_order = "bgr" in [data] turns them round'
        return [f"{words}: they fit better in reverse; if the channels are blue first, {mend}"]
    if np.abs(off).max() > 0.5 or ratio.min() < 0.5 or ratio.max() > 2:
        return [f"{words}: far apart; {expected.hint}"]
    return []


def _moments(histograms: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, total = np.arange(256), histograms.sum(1)
    mean = histograms @ values / total
    return mean, np.sqrt(np.maximum(0, histograms @ values**2 / total - mean**2))


def _leak_notes(data: Dataset, flat: Sequence[NDArray[np.bool_]]) -> list[str]:
    """Test images that are in the training part too, pixel by pixel; images of one colour aside."""
    train, test = (_digests(part) for part in (data.train, data.test))
    known = {digest for digest, blank in zip(train, flat[0], strict=True) if not blank}
    same = sum(digest in known for digest, blank in zip(test, flat[1], strict=True) if not blank)
    if same <= _LEAKED * len(test):
        return []
    return [f"{data.name}: {same} of {len(test)} test images are training images too: accuracy will look too good"]


def _digests(images: Images) -> list[bytes]:
    pixels = np.ascontiguousarray(images.pixels)
    return [hashlib.blake2b(image.data, digest_size=16).digest() for image in pixels]


def _figures(values: NDArray[np.float64]) -> str:
    return "/".join(f"{value:.4g}" for value in values)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
