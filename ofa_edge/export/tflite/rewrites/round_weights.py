"""int8: weights rounded by what they read, and biases that make up for what is left.

The converter rounds each weight to the nearest step. But what a layer reads goes up and down together, so one weight's
rounding can make up for another's (GPTQ: Frantar et al., ICLR 2023). And what rounding moves in the mean, a bias can
take back (Nagel et al., ICCV 2019, section 4.2).

Given::

    y = CONV_2D(x, w, b)             w rounded to the nearest

Result::

    y = CONV_2D(x, w, b)             w rounded up or down so that y varies least about that of fp32, b so that the
                                     mean is right

Layer after layer, on what the int8 file itself reads on the calibration images. Only integers change: operators, steps
and speed are the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import Pair, scale_of, set_constant
from ofa_edge.export.tflite.replay import Replay
from ofa_edge.export.tflite.running import watch
from ofa_edge.export.tflite.sums import Sums, sample, summing

_ROWS, _BLOCK = 4096, 1024
_EXACT = 256  # products of two numbers below 256 whose sum float32 still holds exactly
_DAMPING = 0.01
_LARGEST = 2**30


def round_weights(pair: Pair, images: NDArray[np.float32]) -> list[bytes]:
    """Round the weights of an int8 file anew, whose ranges are final: see `fitting.Fit`."""
    layers = [Sums(pair, place) for place in range(len(pair.names)) if summing(pair, place) and _owns_bias(pair, place)]
    wanted = _means(pair, images, layers)
    replay = Replay(pair.quantised, images)
    try:
        for layer in layers:
            replay.run_to(layer.place)
            _round(pair, layer, replay.values(layer.source), wanted[layer.place])
    except (RuntimeError, ValueError):
        return []  # LiteRT refuses it: why is told when the whole file is run
    return [pair.packed()]


def _owns_bias(pair: Pair, place: int) -> bool:
    op, readers = pair.graph.operators[place], pair.readers()
    return len(op.inputs) > 2 and op.inputs[2] >= 0 and all(len(readers[int(each)]) == 1 for each in op.inputs[1:])


def _means(pair: Pair, images: NDArray[np.float32], layers: Sequence[Sums]) -> dict[int, NDArray[np.float64]]:
    """What each layer's weights read in fp32, in the mean of an image: by its place [N, groups, inputs]."""
    twins = pair.twins()
    sources = list(dict.fromkeys(layer.source for layer in layers))
    found: dict[int, list[NDArray[np.float64]]] = {layer.place: [] for layer in layers}
    for values in watch(pair.packed_twin(), images, [twins[source] for source in sources]):
        known = dict(zip(sources, values, strict=True))
        for layer in layers:
            found[layer.place].append(layer.mean(known[layer.source]))
    return {place: np.stack(rows) for place, rows in found.items()}


def _round(pair: Pair, layer: Sums, values: Sequence[NDArray[Any]], wanted: NDArray[np.float64]) -> None:
    """Store a layer's weights and bias.

    Args:
        pair: both files.
        layer: of the int8 file.
        values: what it reads there, of each image.
        wanted: what its weights read in fp32 in the mean, [N, groups, inputs].
    """
    op = pair.graph.operators[layer.place]
    scale, zero = scale_of(pair.graph.tensors[layer.source]) or (1.0, 0)
    moved = [value.astype(np.float32) - zero for value in values]
    integers = _rounded(layer, sample(layer, moved, max(_ROWS, 4 * min(layer.weights.shape[2], _BLOCK))), len(moved))
    found = np.stack([layer.mean(value) for value in moved]) * scale
    own = np.einsum("goi,gi->go", layer.weights - integers * layer.scales[..., None], found.mean(0))
    before = _shrunk(np.einsum("goi,ngi->ngo", layer.weights, wanted - found))
    bias = pair.graph.tensors[op.inputs[2]]
    steps = np.asarray(bias.quantization.scale, np.float64)
    stored = np.rint((layer.bias + (own + before).ravel()) / steps).clip(-_LARGEST, _LARGEST)
    set_constant(pair.quantised, pair.graph.tensors[op.inputs[1]], layer.stored(integers))
    set_constant(pair.quantised, bias, stored.astype(np.int32))


def _shrunk(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of what layers before have lost [N, ...], as far as the images agree about it.

    What they do not agree about is chance, and would be added to all images: so each mean is multiplied by the share
    of it that is not, in the mean of all channels.
    """
    mean, chance = gaps.mean(0), gaps.var(0) / max(len(gaps) - 1, 1)
    sure = max(float((mean**2 - chance).mean()), 0.0)
    return np.asarray(mean * sure / np.maximum(sure + chance, 1e-30), np.float64)


def _rounded(layer: Sums, rows: NDArray[np.float32], images: int) -> NDArray[np.float64]:
    """Integers for the weights, by patches [groups, N, inputs] of whole numbers, as many of each image.

    More inputs than `_BLOCK` are taken in parts: a large layer has too few patches to tell how all go together.
    """
    width = max(_BLOCK // layer.taps, 1) * layer.taps
    parts = []
    for at in range(0, layer.weights.shape[2], width):
        part, steps = rows[:, :, at : at + width], layer.weights[:, :, at : at + width] / layer.scales[..., None]
        moments = np.zeros((len(part), part.shape[2], part.shape[2]))
        for start in range(0, part.shape[1], _EXACT):
            few = part[:, start : start + _EXACT]
            moments += few.transpose(0, 2, 1) @ few
        mean = part.mean(1, dtype=np.float64)  # which the bias makes up for
        moments = moments / part.shape[1] - mean[:, :, None] * mean[:, None, :]
        parts.append(_best(steps, moments, _chance(part - mean[:, None], moments, images)))
    return np.concatenate(parts, axis=2)


def _chance(rows: NDArray[np.float64], moments: NDArray[np.float64], images: int) -> float:
    """The share of what goes together in these patches that other images would not show (Ledoit and Wolf, 2004).

    By how far the images disagree about it: patches of one image are much alike, and count as one sample.

    Args:
        rows: patches about their mean [groups, N, inputs], one image's behind the other's.
        moments: of all of them, [groups, inputs, inputs].
        images: how many.
    """

    def together(found: NDArray[np.float64], own: NDArray[np.float64]) -> float:
        return float(np.square(found).sum() - np.square(own).sum())

    whole = together(moments, np.einsum("gii->gi", moments))
    if images < 2 or whole <= 0:
        return 1.0
    each = 0.0
    for some in np.split(rows, images, axis=1):
        wide = some.shape[1] < some.shape[2]  # both products have the same squares: the smaller one
        product = some @ some.transpose(0, 2, 1) if wide else some.transpose(0, 2, 1) @ some
        each += together(product / some.shape[1], np.square(some).mean(1))
    return float(np.clip((each / images - whole) / (images - 1) / whole, 0, 1))


def _best(weights: NDArray[np.float64], moments: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Integers near weights in steps [groups, outputs, inputs], whose errors make up for each other.

    Args:
        weights: real numbers.
        moments: of inputs, about their mean, [groups, inputs, inputs].
        chance: the share of what goes together that is not believed.
    """
    size, own = moments.shape[-1], np.einsum("gii->gi", moments).copy()
    moments = moments * (1 - chance)
    diagonal = np.einsum("gii->gi", moments)
    diagonal += own * chance + np.maximum(own.mean(1, keepdims=True), 1e-12) * _DAMPING
    order = np.argsort(-own, axis=1, kind="stable")
    moments = np.take_along_axis(np.take_along_axis(moments, order[:, :, None], 1), order[:, None, :], 2)
    upper = np.linalg.cholesky(np.linalg.inv(moments)).transpose(0, 2, 1)
    left = np.take_along_axis(weights, order[:, None], 2)
    found = np.empty_like(left)
    for at in range(size):
        found[:, :, at] = np.rint(left[:, :, at]).clip(-127, 127)
        error = (left[:, :, at] - found[:, :, at]) / upper[:, at, at][:, None]
        left[:, :, at + 1 :] -= error[:, :, None] * upper[:, None, at, at + 1 :]
    return np.take_along_axis(found, np.argsort(order, axis=1, kind="stable")[:, None], 2)
