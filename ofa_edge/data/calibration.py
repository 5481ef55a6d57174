"""Images that set the ranges of int8 activations: whether a set can do that, before any work is done with it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.errors import DataError
from ofa_edge.records.manifest import CalibrationRecord

USUAL, FEW = 500, 100
"""How many are usual, and how few are worth a word."""

_NAMED = 5
_FLAT = 2  # pixel values between the darkest and the brightest pixel of an image without content
_NARROW = 0.1  # share of the attainable range below which a set hardly reaches what the network will see


def review_calibration(
    images: Images, preprocessing: Preprocessing, class_names: Sequence[str], labelled: bool = True
) -> CalibrationRecord:
    """Check a calibration set.

    Args:
        images: raw pixels.
        preprocessing: what the network's input is made with.
        class_names: of all classes.
        labelled: whether the labels mean anything.

    Raises:
        DataError: no image, or none with anything in it.
    """
    count = len(images)
    if not count:
        raise DataError(
            "the calibration set is empty",
            f"int8 ranges are measured on it; {USUAL} images are usual",
            "give a training folder with images, or --precision fp16",
        )
    flat = without_content(images.pixels)
    if flat.all():
        raise DataError(
            "every calibration image is of one colour",
            f"{count} images without content: pixel values {images.pixels.min()} to {images.pixels.max()}",
            "check how they were read; images of 0..1 must be scaled to 0..255 before they are stored as whole numbers",
        )
    low, high = _attained(images, preprocessing)
    warnings = [*_few_words(count), *_flat_words(int(flat.sum()), count), *_range_words(images)]
    classes = None
    if labelled:
        seen = {int(label) for label in images.labels}
        classes = len(seen)
        missing = [name for number, name in enumerate(class_names) if number not in seen]
        # Fewer images than classes cannot show them all; then that says nothing about how they were chosen.
        if missing and count >= len(class_names):
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            warnings.append(
                f"no calibration image of {', '.join(missing[:_NAMED])}{more}: their activations are unseen"
            )
    return CalibrationRecord(images=count, classes=classes, low=low, high=high, warnings=tuple(warnings))


def check_normalised(low: float, high: float, preprocessing: Preprocessing) -> None:
    """Refuse input values that no image can give: they were not normalised as this network's input is.

    Raises:
        DataError: naming what was found and what is attainable.
    """
    ends = [
        (pixel - mean) / std
        for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)
        for pixel in (0, 255)
    ]
    least, largest = min(ends), max(ends)
    slack = 0.01 * (largest - least)
    if low < least - slack or high > largest + slack:
        raise DataError(
            "calibration images are not normalised as the network's input",
            f"values {low:.3g} to {high:.3g}; pixels 0..255 give {least:.3g} to {largest:.3g} here",
            f"input = (pixel - mean) / std, mean {preprocessing.mean}, std {preprocessing.std}",
        )


def without_content(pixels: Pixels) -> NDArray[np.bool_]:
    """Which of uint8 images [N, H, W, C] are of one grey value throughout, bool [N]."""
    return np.asarray(np.ptp(pixels.reshape(len(pixels), -1), axis=1) < _FLAT)


def _attained(images: Images, preprocessing: Preprocessing) -> tuple[float, float]:
    ends = np.stack([images.pixels.min((0, 1, 2)), images.pixels.max((0, 1, 2))])[:, None, None]
    values = preprocessing.normalise(ends)
    return float(values.min()), float(values.max())


def _few_words(count: int) -> list[str]:
    """The largest of count + 1 values is the last one in one case of count + 1, whatever they are distributed like."""
    if count >= FEW:
        return []
    return [
        f"{count} images set the ranges of all activations: each of them is exceeded, and cut off, in about one of "
        f"{count + 1} new images ({USUAL} are usual)"
    ]


def _flat_words(flat: int, count: int) -> list[str]:
    return [f"{flat} of {count} calibration images are of one colour"] if flat else []


def _range_words(images: Images) -> list[str]:
    low, high = int(images.pixels.min()), int(images.pixels.max())
    if high - low >= _NARROW * 255:
        return []
    return [f"calibration pixels lie between {low} and {high} of 0..255: other images will saturate"]
