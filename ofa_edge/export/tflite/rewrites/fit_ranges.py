"""int8: ranges of activations that lose least, in place of those that hold every value.

The converter's range goes from the least to the largest value of any calibration image: one bright pixel makes the
steps of a whole map coarse. And what a hard swish reads may be anything below -3, where its answer is 0.

Given::

    x: -18.2 .. 22.1, read by  t = min(max(x + 3, 0), 6)  and  x * t alone

Result::

    x: -3 .. 15.4, the same integers' worth of steps over less

Of each tensor the range is taken whose rounding and cutting off changes the values of the calibration images least, by
the mean second, third, fourth or fifth power: the mean square may cut off too readily what later layers amplify, the
largest error is the converter's own rule. Each of these gives a file to choose from, whole ranges another. What is
only moved, picked or put side by side has one range with what it came from: chosen for all of it.

Only numbers in the file change: its operators and its speed are the same.
Left as they are: the input (`fit_input`), the logits (two that are cut off would tie), and what an operator with rules
of its own reads or gives.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import MOVES, WEIGHTED, Pair, constant, dequantised, scale_of, set_constant
from ofa_edge.export.tflite.running import watch

POWERS = (2, 3, 4, 5)  # each a product more than the one before
# What they give are values of their inputs, in the same steps.
_SHARING = MOVES | {"CONCATENATION", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR"}
FREE = WEIGHTED | {"ADD", "SUB", "MUL", "MEAN", "QUANTIZE"}
_TABLES = {"LOGISTIC", "TANH"}  # read any steps, give steps of their own
_BINS, _VALUES = 2048, 16384
_SHARES = tuple(np.linspace(1, 0.4, 25))
_SWISH, _RELU6 = -3.0, 3
_LARGEST = 2.0**30


@dataclass(frozen=True)
class Group:
    """Tensors of the int8 file that share one range.

    Attributes:
        tensors: all of them.
        computed: those whose values are computed; the others hold values of these.
    """

    tensors: tuple[int, ...]
    computed: tuple[int, ...]


def fit_ranges(pair: Pair, images: NDArray[np.float32]) -> list[bytes]:
    """Fit the ranges of an int8 file: by each of `POWERS`, and whole ones (`fitting.Fit`)."""
    groups = free_groups(pair)
    floors = swish_inputs(pair)
    seen = _histograms(pair, images, groups, floors)
    fitted = {
        group: _fitted(seen[group], floors.get(group.tensors[0]), _least_step(pair, group.tensors)) for group in groups
    }

    def file(place: int) -> bytes:
        for group, ranges in fitted.items():
            for tensor in group.tensors:
                set_range(pair.graph.tensors[tensor], *ranges[place])
        store_biases(pair)
        return pair.packed()

    return [file(place) for place in range(len(POWERS) + 1)]


def free_groups(pair: Pair) -> list[Group]:
    """Tensors of the int8 file whose range may be chosen; those that share one, for they share values, in one group."""
    leaders, graph, readers = _leaders(pair), pair.graph, pair.readers()
    fixed, computed = {int(each) for each in (*graph.inputs, *graph.outputs)}, set[int]()
    for place, op in enumerate(graph.operators):
        made, inputs = int(op.outputs[0]), [int(each) for each in op.inputs]
        kind = pair.names[place]
        if shares(pair, place):
            continue
        computed.add(made)
        if kind in _TABLES:
            fixed.add(made)
        elif kind not in FREE:
            fixed |= {made, *inputs}
        elif kind in WEIGHTED and len(inputs) > 2 and len(readers.get(inputs[2], ())) > 1:
            fixed.add(inputs[0])  # its bias is another operator's too
    groups: dict[int, list[int]] = {}
    for op in graph.operators:
        groups.setdefault(leaders(int(op.outputs[0])), []).append(int(op.outputs[0]))
    left = {leaders(each) for each in fixed}
    return [
        Group(tuple(members), tuple(each for each in members if each in computed))
        for first, members in groups.items()
        if first not in left
    ]


def input_group(pair: Pair) -> tuple[int, ...]:
    """The only input of the int8 file and what else holds its values."""
    leaders, start = _leaders(pair), int(pair.graph.inputs[0])
    made = (int(op.outputs[0]) for op in pair.graph.operators)
    return (start, *(each for each in made if leaders(each) == leaders(start)))


def _leaders(pair: Pair) -> Callable[[int], int]:
    """Gives for each tensor the one that stands for all in its range."""
    above: dict[int, int] = {}

    def led(tensor: int) -> int:
        while tensor in above:
            tensor = above[tensor]
        return tensor

    for place, op in enumerate(pair.graph.operators):
        for each in map(int, op.inputs) if shares(pair, place) else ():
            if scale_of(pair.graph.tensors[each]) and led(each) != led(int(op.outputs[0])):
                above[led(int(op.outputs[0]))] = led(each)
    return led


def shares(pair: Pair, place: int) -> bool:
    """Whether an operator gives values of its inputs, which are all computed and in the steps of its result."""
    op = pair.graph.operators[place]
    if pair.names[place] not in _SHARING:
        return False
    moved = [pair.graph.tensors[each] for each in op.inputs if scale_of(pair.graph.tensors[each])]
    steps = scale_of(pair.graph.tensors[op.outputs[0]])
    return all(scale_of(each) == steps and constant(pair.quantised, each) is None for each in moved)


def swish_inputs(pair: Pair) -> dict[int, float]:
    """Tensors that a hard swish alone reads, with the value below which it does not tell them apart."""
    readers, found = pair.readers(), {}
    operators = pair.graph.operators
    for place, op in enumerate(operators):
        if pair.names[place] != "ADD" or op.builtinOptions.fusedActivationFunction != _RELU6:
            continue
        x, other = (int(each) for each in op.inputs)
        shift = dequantised(pair.quantised, pair.graph.tensors[other])
        if shift is None or shift.size != 1 or abs(float(shift.item()) + _SWISH) > 0.01:
            continue
        gate = int(op.outputs[0])
        product = next((each for each in readers.get(gate, ()) if each != place), None)
        if product is None or pair.names[product] != "MUL" or set(readers[x]) != {place, product}:
            continue
        if {int(each) for each in operators[product].inputs} == {x, gate}:
            found[x] = _SWISH
    return found


_Seen = tuple[tuple[float, float], NDArray[np.float64], NDArray[np.float64]]  # least and largest; bins' counts, means


def _histograms(
    pair: Pair, images: NDArray[np.float32], groups: Sequence[Group], floors: Mapping[int, float]
) -> dict[Group, _Seen]:
    """What values the tensors take in fp32. Bins lie over the file's range, which may be far wider than the values."""
    twins = pair.twins()
    edges, ends = {}, {}
    for group in groups:
        low, high = range_of(pair.graph.tensors[group.tensors[0]])
        edges[group] = max(low, floors.get(group.tensors[0], low)), high
        ends[group] = [np.inf, -np.inf]
    counts, sums = ({group: np.zeros(_BINS) for group in groups} for _ in range(2))
    picked: dict[int, NDArray[np.int64]] = {}
    owners = {tensor: group for group in groups for tensor in group.computed}
    for values in watch(pair.packed_twin(), images, [twins[tensor] for tensor in owners]):
        for (tensor, group), found in zip(owners.items(), values, strict=True):
            flat, share = found.ravel(), 1.0
            ends[group] = [min(ends[group][0], float(flat.min())), max(ends[group][1], float(flat.max()))]
            if len(flat) > _VALUES:
                share = len(flat) / _VALUES
                if tensor not in picked:
                    picked[tensor] = np.random.default_rng(0).choice(len(flat), _VALUES, replace=False)
                flat = flat[picked[tensor]]
            low, high = edges[group]
            flat = flat.clip(low, high)
            bins = np.minimum((flat - low) * (_BINS / max(high - low, 1e-30)), _BINS - 1).astype(np.int64)
            counts[group] += share * np.bincount(bins, minlength=_BINS)
            sums[group] += share * np.bincount(bins, flat, minlength=_BINS)
    # Means, not middles: where much of a map holds one value, as a plain background does, that very value counts.
    means = {group: sums[group] / np.maximum(counts[group], 1e-30) for group in groups}
    # What is always 0 keeps its range: a step of 0 is none.
    kept = {
        group: tuple(np.clip(ends[group], *edges[group]).tolist()) if any(ends[group]) else edges[group]
        for group in groups
    }
    return {group: (kept[group], counts[group], means[group]) for group in groups}


def _fitted(seen: _Seen, floor: float | None, least_step: float) -> tuple[tuple[float, float], ...]:
    """The ranges that lose least, by each of `POWERS`, then the whole range; 0 is in all of them.

    A floor is no matter of choice: what lies below is as good as at it.
    """
    (first, last), counts, means = seen
    low, high = min(first, 0.0), max(last, 0.0)
    used = counts > 0
    best, found = [np.inf] * len(POWERS), [(low, high)] * (len(POWERS) + 1)
    values, weights = means[used], counts[used]
    for share_low in _SHARES if low < 0 and floor is None else (1.0,):
        for share_high in _SHARES if high > 0 else (1.0,):
            step = (high * share_high - low * share_low) / 255
            if not used.any() or step <= least_step:
                continue
            steps = np.rint(values / step).clip(np.rint(low * share_low / step), np.rint(high * share_high / step))
            gaps = np.abs(steps * step - values)
            lost_by = gaps
            for place in range(len(POWERS)):
                lost_by = lost_by * gaps
                lost = float(weights @ lost_by)
                if lost < best[place] * (1 - 1e-6):
                    best[place], found[place] = lost, (low * share_low, high * share_high)
    return tuple(found)


def _least_step(pair: Pair, group: Sequence[int]) -> float:
    """The step below which a bias of a layer that reads the group would no longer fit into 32 bits."""
    least = 0.0
    for place, op in enumerate(pair.graph.operators):
        if pair.names[place] in WEIGHTED and int(op.inputs[0]) in group:
            bias, scales = _bias_of(pair, place)
            if bias is not None:
                least = max(least, float((np.abs(bias) / (scales * _LARGEST)).max()))
    return least


def store_biases(pair: Pair) -> None:
    """Biases are stored in steps of the input's times the weights': anew from their real values."""
    for place, op in enumerate(pair.graph.operators):
        bias, scales = _bias_of(pair, place) if pair.names[place] in WEIGHTED else (None, np.ones(1))
        source = scale_of(pair.graph.tensors[op.inputs[0]])
        if bias is None or source is None:
            continue
        steps = source[0] * scales
        tensor = pair.graph.tensors[op.inputs[2]]
        tensor.quantization.scale = steps.astype(np.float32)
        set_constant(pair.quantised, tensor, np.rint(bias / steps).astype(np.int32))


def _bias_of(pair: Pair, place: int) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """A layer's bias in real numbers, None where it has none, and the scales of its weights."""
    op, partner = pair.graph.operators[place], pair.twin.operators[place]
    scales = np.asarray(pair.graph.tensors[op.inputs[1]].quantization.scale, np.float64)
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return None, scales
    if partner.inputs[2] < 0:  # the int8 file may have one of zeros
        return np.zeros(len(scales)), scales
    values = constant(pair.plain, pair.twin.tensors[partner.inputs[2]])
    return None if values is None else values.ravel().astype(np.float64), scales


def range_of(tensor: Any) -> tuple[float, float]:
    """The least and the largest value that a tensor with one scale can hold."""
    found = scale_of(tensor)
    assert found is not None
    scale, zero = found
    return (-128 - zero) * scale, (127 - zero) * scale


def set_range(tensor: Any, low: float, high: float) -> None:
    """Steps over a range, 0 on one of them."""
    scale = np.float32((high - low) / 255)
    tensor.quantization.scale = np.asarray([scale], np.float32)
    zero = int(np.clip(np.rint(-128 - low / float(scale)), -128, 127))
    tensor.quantization.zeroPoint = np.asarray([zero], np.int64)
