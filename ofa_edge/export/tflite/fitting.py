"""int8: the numbers of a file fitted to calibration images, each fit as far as it holds on images that it has not seen.

What is chosen on a few images may fit those images alone. So a part of them is held back: a fit looks at the others
and offers files, and the one is taken that is nearest to fp32 on what was held back, the file as it was among them.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import Pair, pair_up
from ofa_edge.export.tflite.running import answers_of

SEEN, HELD_BACK = 100, 50  # images, at most; of fewer a third is held back
_PART = 3


class Fit(Protocol):
    """A function that fits the numbers of an int8 file, with a name."""

    __name__: str

    def __call__(self, pair: Pair, images: NDArray[np.float32], /) -> Sequence[bytes]:
        """Files to choose from; none where there is nothing to fit.

        Args:
            pair: the int8 file and its twin in fp32; it may be changed.
            images: calibration images [N, C, H, W], normalised; of several inputs rows, as of `run_tflite`.
        """


def fit(content: bytes, plain: Callable[[], bytes], images: NDArray[np.float32] | None, fits: Sequence[Fit]) -> bytes:
    """Fit an int8 file.

    Args:
        content: the file.
        plain: gives the same graph converted to fp32.
        images: calibration images; without them the file is left as it is.
        fits: in their order.
    """
    if images is None:
        return content
    seen, unseen = _parted(images)
    for each in fits:
        pair = pair_up(content, twin := plain())
        if pair is None:
            break
        content = _nearest((content, *each(pair, seen)), twin, unseen)
    return content


def _parted(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images to look at and others to judge by, drawn from all of the set: it may be sorted, or take turns."""
    count = len(images)
    held = min(count // _PART, HELD_BACK)
    order = np.random.default_rng(0).permutation(count)
    seen = images[np.sort(order[held : held + SEEN])]
    return seen, images[np.sort(order[:held])] if held else seen


def _nearest(files: Sequence[bytes], twin: bytes, images: NDArray[np.float32]) -> bytes:
    """The file whose answers are nearest to the twin's, by decibels in the mean of the images; the first of equals.

    Not by their noise together: one image that is far off would decide for all.
    """
    if len(files) == 1:
        return files[0]
    exact = answers_of(twin, images).astype(np.float64)

    def noise(content: bytes) -> float:
        try:
            gaps = answers_of(content, images) - exact
        except (RuntimeError, ValueError):
            return np.inf  # LiteRT refuses such steps side by side
        return float(np.log(np.square(gaps).sum(1) + 1e-30).mean())

    return min(files, key=noise)
