"""What is lost of a network's fp32 answers, output by output: the worst decides, and each counts alike."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.mixed import probe
from ofa_edge.export.tflite.pair import Pair
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.metrics import power, snr_db


@dataclass(frozen=True)
class Exact:
    """Answers in fp32 [N, values]; `parts`: where each output stands among the values."""

    answers: NDArray[np.float32]
    parts: tuple[slice, ...]

    @classmethod
    def of(cls, pair: Pair, images: NDArray[np.float32]) -> "Exact":
        """Those of the twin to images [N, C, H, W]."""
        sizes = [math.prod(map(int, pair.twin.tensors[each].shape)) for each in pair.twin.outputs]
        ends = list(itertools.accumulate(sizes))
        parts = tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))
        return cls(answers_of(probe(pair, ()), images), parts)

    def noise(self, answers: NDArray[np.float32]) -> float:
        """What answers lose, over what is there: the mean of the outputs."""
        ratios = [lost / max(signal, 1e-30) for signal, lost in self._powers(answers)]
        return sum(ratios) / len(ratios)

    def snr_db(self, answers: NDArray[np.float32]) -> float:
        """Signal to noise of the output that loses most."""
        return min(snr_db(signal, lost) for signal, lost in self._powers(answers))

    def _powers(self, answers: NDArray[np.float32]) -> list[tuple[float, float]]:
        apart = answers - self.answers
        return [(power(self.answers[:, part]), power(apart[:, part])) for part in self.parts]
