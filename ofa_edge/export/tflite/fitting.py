"""int8: the numbers of a file fitted to calibration images, each fit as far as it holds on images that it has not seen.

What is chosen on a few images may fit those images alone. So a part of them is held back: a fit looks at the others
and offers files, and the one is taken that is nearest to fp32 on what was held back, the file as it was among them.
"""

import functools
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
    judge = functools.cache(lambda: _Judge(plain(), unseen))  # where there is nothing to choose, nothing is run
    for each in fits:
        pair = pair_up(content, plain())
        if pair is None:
            break
        if offered := each(pair, seen):
            content = min((content, *offered), key=judge().noise)  # the first of equals
    return content


def _parted(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images to look at and others to judge by, drawn from all of the set: it may be sorted, or take turns."""
    count = len(images)
    held = min(count // _PART, HELD_BACK)
    order = np.random.default_rng(0).permutation(count)
    seen = images[np.sort(order[held : held + SEEN])]
    return seen, images[np.sort(order[:held])] if held else seen


class _Judge:
    """How far files are from their twin in fp32, by decibels in the mean of the images.

    Not by their noise together: one image that is far off would decide for all.
    """

    def __init__(self, twin: bytes, images: NDArray[np.float32]) -> None:
        self._images, self._exact = images, answers_of(twin, images).astype(np.float64)
        self._known: dict[bytes, float] = {}  # the file that a fit begins with was judged by the one before

    def noise(self, content: bytes) -> float:
        """The mean logarithm of its squared error; infinite for a file that LiteRT refuses."""
        if content not in self._known:
            self._known[content] = self._noise(content)
        return self._known[content]

    def _noise(self, content: bytes) -> float:
        try:
            gaps = answers_of(content, self._images) - self._exact
        except (RuntimeError, ValueError):
            return np.inf  # LiteRT refuses such steps side by side
        return float(np.log(np.square(gaps).sum(1) + 1e-30).mean())
