"""int8: steps of the input in which pictures lose least.

A picture's pixels are whole numbers already. The converter's steps, its least to its largest value in 255, are near a
pixel's own step but not it: every few values two pixels fall together, and in smooth pictures, where neighbours are a
step or two apart, a first layer that looks for edges sees those. At a pixel's own step nothing is lost but the few
brightest or darkest values, and a shift that a bias makes up for (`round_weights`).

The steps are those that change the sums of the first layers least on the calibration images, their mean aside. Only
numbers in the file change. Left as it is: an input that others than such layers read, and one of several.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import Pair
from ofa_edge.export.tflite.rewrites.fit_ranges import input_group, store_biases
from ofa_edge.export.tflite.running import laid_out, watch
from ofa_edge.export.tflite.sums import Sums, sample, summing

_ROWS = 4096
_LEAST = 0.75  # of the step that holds all values; and the other way about, where no picture has all brightnesses
_COARSE, _FINE = 0.001, 0.0001  # the beat of two grids over 255 steps is a quarter of a step, a fortieth


def fit_input(pair: Pair, images: NDArray[np.float32]) -> list[bytes]:
    """Fit the input's steps of an int8 file: see `fitting.Fit`."""
    if len(pair.graph.inputs) != 1 or images.ndim != 4:
        return []
    group = input_group(pair)
    places = sorted({place for each in group for place in pair.readers().get(each, ())} - _movers(pair, group))
    if not places or not all(summing(pair, place) and _owns(pair, place) for place in places):
        return []
    layers = [Sums(pair, place) for place in places]
    rows = [_rows(pair, layer, images) for layer in layers]
    low, high = min(float(images.min()), 0.0), max(float(images.max()), 0.0)
    if high <= low:
        return []

    def lost(step: float, below: int) -> float:
        return sum(_lost(layer, each, step, below) for layer, each in zip(layers, rows, strict=True))

    whole = (high - low) / 255
    tried = {
        (step, below): lost(step, below) for step, below in _near(low, high, whole / _LEAST, whole * _LEAST, _COARSE)
    }
    first = min(tried, key=tried.__getitem__)[0]
    for step, below in _near(low, high, first * (1 + _COARSE), first * (1 - _COARSE), _FINE):
        tried[step, below] = lost(step, below)
    step, below = min(tried, key=tried.__getitem__)
    for each in group:
        stored = pair.graph.tensors[each].quantization
        stored.scale, stored.zeroPoint = np.asarray([step], np.float32), np.asarray([below - 128], np.int64)
    store_biases(pair)
    return [pair.packed()]


def _movers(pair: Pair, group: tuple[int, ...]) -> set[int]:
    """The operators that made the group's tensors of its input."""
    return {place for place, op in enumerate(pair.graph.operators) if int(op.outputs[0]) in group}


def _owns(pair: Pair, place: int) -> bool:
    op = pair.graph.operators[place]
    return len(op.inputs) > 2 and op.inputs[2] >= 0 and len(pair.readers()[int(op.inputs[2])]) == 1


def _rows(pair: Pair, layer: Sums, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Patches of what a layer reads of the images, [groups, N, inputs]."""
    start = int(pair.graph.inputs[0])
    if layer.source == start:
        shape = [pair.graph.tensors[start].shape]
        values = [laid_out(image, shape)[0] for image in images]
    else:
        twin = pair.twins()[layer.source]
        values = [each[0].copy() for each in watch(pair.packed_twin(), images, [twin])]
    return np.asarray(sample(layer, values, _ROWS), np.float64)


def _lost(layer: Sums, rows: NDArray[np.float64], step: float, below: int) -> float:
    """How much the layer's sums vary about those of what is not rounded."""
    gaps = np.rint(rows / step).clip(-below, 255 - below) * step - rows
    return float((gaps @ layer.weights.transpose(0, 2, 1)).var(1).sum())


def _near(low: float, high: float, largest: float, least: float, share: float) -> Iterator[tuple[float, int]]:
    """Steps, largest first, and of each how many lie below 0: it is cut off above, below, or by half on both sides."""
    for number in range(int(np.log(largest / least) / share) + 1):
        step = float(np.float32(largest * np.exp(-share * number)))
        over = max((high - low) / step - 255, 0.0)
        for cut in (0.0, over / 2, over):
            yield step, int(np.clip(np.rint(-low / step - cut), 0, 255))
