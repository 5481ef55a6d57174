"""A layer with weights as what it computes: sums of products over patches of what it reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.pair import WEIGHTED, Pair, constant

_SAME = 0  # the schema's Padding.SAME


class Sums:
    """One convolution or product of an int8 file.

    Attributes:
        place: its operator's.
        source: the tensor that it reads.
        weights: in fp32, [groups, outputs of a group, inputs of each output], a channel's taps side by side.
        scales: of the int8 file's weights, [groups, outputs of a group].
        bias: in fp32, [outputs]; zeros where it has none.
        taps: of its kernel.
        places: how many patches there are in one value of the source.
    """

    def __init__(self, pair: Pair, place: int) -> None:
        """Look at an operator of `summing`."""
        op, partner = pair.graph.operators[place], pair.twin.operators[place]
        tensors, twins = pair.graph.tensors, pair.twin.tensors
        self.place, self.source = place, int(op.inputs[0])
        self._kind, self._options = pair.names[place], op.builtinOptions
        shape = [int(each) for each in tensors[self.source].shape]
        weights = constant(pair.plain, twins[partner.inputs[1]])
        assert weights is not None
        self._kernel = (1, 1) if self._kind == "FULLY_CONNECTED" else weights.shape[1:3]
        self._size = [int(each) for each in tensors[op.outputs[0]].shape][1:3]
        self.taps = int(np.prod(self._kernel))
        self.weights = self._parted(weights.astype(np.float64), shape[-1])
        outputs = self.weights.shape[0] * self.weights.shape[1]
        scales = np.asarray(tensors[op.inputs[1]].quantization.scale, np.float64)
        self.scales = np.broadcast_to(scales, (outputs,)).reshape(self.weights.shape[:2])
        has_bias = len(partner.inputs) > 2 and partner.inputs[2] >= 0
        bias = constant(pair.plain, twins[partner.inputs[2]]) if has_bias else None
        self.bias = np.zeros(outputs) if bias is None else bias.ravel().astype(np.float64)
        rows = int(np.prod(shape)) // self.weights.shape[2]
        self.places = rows if self._kind == "FULLY_CONNECTED" else int(np.prod(self._size))

    def stored(self, integers: NDArray[Any]) -> NDArray[np.int8]:
        """Integers for `weights` as the file has them."""
        if self._kind == "FULLY_CONNECTED":
            found = integers[0]
        elif self._kind == "DEPTHWISE_CONV_2D":
            found = integers.transpose(2, 0, 1).reshape(1, *self._kernel, -1)
        else:
            outputs = integers.shape[0] * integers.shape[1]
            found = integers.reshape(outputs, -1, *self._kernel).transpose(0, 2, 3, 1)
        return np.asarray(found, np.int8)

    def patches(self, value: NDArray[Any], picked: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """What the sums read of a value of the source: [groups, patches, inputs], of all places or the picked ones."""
        if self._kind == "FULLY_CONNECTED":
            rows = value.reshape(1, -1, self.weights.shape[2])
            return rows if picked is None else rows[:, picked]
        padded, (down, across) = self._padded(value)
        columns = self._size[1]
        places = np.arange(self.places) if picked is None else picked
        rows, columns_of = np.divmod(places, columns)
        read = [padded[i.start + rows * i.step, j.start + columns_of * j.step] for i in down for j in across]
        return np.stack(read, axis=2).reshape(len(places), *self.weights.shape[::2]).transpose(1, 0, 2)

    def mean(self, value: NDArray[Any]) -> NDArray[np.float64]:
        """The mean of `patches`, [groups, inputs]."""
        if self._kind == "FULLY_CONNECTED":
            return np.asarray(value.reshape(1, -1, self.weights.shape[2]).mean(1), np.float64)
        padded, (down, across) = self._padded(value)
        lines = [padded[each].mean(0, dtype=np.float64) for each in down]
        found = np.stack([line[each].mean(0) for line in lines for each in across], axis=1)  # C, taps
        return found.reshape(self.weights.shape[0], -1)

    def _padded(self, value: NDArray[Any]) -> tuple[NDArray[Any], list[list[slice]]]:
        """[H, W, C] with what is padded; along each side, where each tap reads."""
        options, over, found = self._options, [], []
        steps, gaps = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
        for side, (taps, gap, step, size) in enumerate(zip(self._kernel, gaps, steps, self._size, strict=True)):
            reach = (size - 1) * step + 1
            lacks = max(reach + (taps - 1) * gap - value.shape[side + 1], 0) if options.padding == _SAME else 0
            over.append((lacks // 2, lacks - lacks // 2))
            found.append([slice(tap * gap, tap * gap + reach, step) for tap in range(taps)])
        return np.pad(value[0], [*over, (0, 0)]), found

    def _parted(self, weights: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
        if self._kind == "FULLY_CONNECTED":
            return weights[None]
        if self._kind == "DEPTHWISE_CONV_2D":
            return weights.reshape(self.taps, channels, -1).transpose(1, 2, 0)
        groups = channels // weights.shape[3]
        return weights.transpose(0, 3, 1, 2).reshape(groups, weights.shape[0] // groups, -1)


def summing(pair: Pair, place: int) -> bool:
    """Whether an operator is such a layer, with weights that are constants."""
    if pair.names[place] not in WEIGHTED:
        return False
    return constant(pair.plain, pair.twin.tensors[pair.twin.operators[place].inputs[1]]) is not None


def sample(layer: Sums, values: Sequence[NDArray[Any]], count: int) -> NDArray[Any]:
    """About this many patches of several values of a layer's source, the same number of each: `Sums.patches`."""
    share = -(-count // len(values))
    random, rows = np.random.default_rng(0), []
    for value in values:
        fewer = share < layer.places
        rows.append(layer.patches(value, np.sort(random.choice(layer.places, share, replace=False)) if fewer else None))
    return np.concatenate(rows, axis=1)
