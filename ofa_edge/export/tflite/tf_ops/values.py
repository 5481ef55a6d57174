"""A tensor between ONNX and TensorFlow: which axis of ONNX each of its dimensions holds.

Maps are NHWC on TensorFlow's side and NCHW in ONNX. A value keeps both: ONNX's Transpose only writes its axes anew, and
data are moved where an operator needs another order, no sooner. Moving dimensions of size 1 moves nothing: a reshape.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Axes = tuple[int, ...]
IMAGE: Axes = (0, 2, 3, 1)  # of [N, C, H, W] in NHWC


def plain(rank: int) -> Axes:
    """ONNX's own order."""
    return tuple(range(rank))


@dataclass(frozen=True)
class Value:
    """A computed tensor.

    Attributes:
        tensor: TensorFlow's.
        axes: ONNX's axis in each dimension of it.
    """

    tensor: Any
    axes: Axes

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As ONNX has it."""
        found = [0] * self.rank
        for size, axis in zip(self.tensor.shape, self.axes, strict=True):
            found[axis] = int(size)
        return tuple(found)

    def dim(self, axis: int) -> int:
        """The dimension that holds an axis of ONNX, which may count from the end."""
        return self.axes.index(axis % self.rank)

    def dims(self, axes: Sequence[int]) -> list[int]:
        """The dimensions of several axes, in order."""
        return sorted(self.dim(axis) for axis in axes)


def moves_nothing(value: Value, axes: Axes) -> bool:
    """Whether another order of the dimensions moves none but those of size 1."""
    shape = value.shape
    return [axis for axis in value.axes if shape[axis] != 1] == [axis for axis in axes if shape[axis] != 1]


def reshaped_axes(value: Value, shape: Sequence[int]) -> Axes | None:
    """The axes of ONNX's reshape of a value to `shape` where its data need not move, else None.

    They need not where axes that are joined, or split, lie side by side and in order: [1, C, H, W] to [1, C, H * W] is
    [1, H, W, C] to [1, H * W, C].
    """
    old = [axis for axis, size in enumerate(value.shape) if size != 1]
    new = [axis for axis, size in enumerate(shape) if size != 1]
    if math.prod(value.shape) != math.prod(shape) or 0 in shape:
        return None
    parts: dict[int, tuple[list[int], list[int]]] = {}  # by the first old axis of each: what becomes what
    while old:
        before, after = [old.pop(0)], [new.pop(0)]
        while (have := math.prod(value.shape[axis] for axis in before)) != (
            want := math.prod(shape[axis] for axis in after)
        ):
            if have < want:
                before.append(old.pop(0))
            else:
                after.append(new.pop(0))
        parts[before[0]] = before, after
    there = [axis for axis in value.axes if value.shape[axis] != 1]
    order: list[int] = []
    while there:
        before, after = parts.get(there[0], ([], []))
        if not before or there[: len(before)] != before:
            return None
        order += after
        there = there[len(before) :]
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    usual = (plain(len(shape)), *([IMAGE] if len(shape) == 4 else []))
    fits = (axes for axes in usual if [axis for axis in axes if shape[axis] != 1] == order)
    return next(fits, (*ones, *order))


def ordered(tf: ModuleType, value: Value, axes: Axes) -> Value:
    """The same value with its dimensions in another order."""
    if value.axes == axes:
        return value
    if moves_nothing(value, axes):
        return Value(tf.reshape(value.tensor, [value.shape[axis] for axis in axes]), axes)
    return Value(tf.transpose(value.tensor, [value.axes.index(axis) for axis in axes]), axes)


def without(value: Value, axes: Sequence[int]) -> Axes:
    """The axes of what is left of a value when some are taken away."""
    gone = {axis % value.rank for axis in axes}
    left = [axis for axis in value.axes if axis not in gone]
    return tuple(sorted(left).index(axis) for axis in left)


def raised(tf: ModuleType, value: Value, rank: int) -> Value:
    """With axes of size 1 in front, as ONNX broadcasts; the batch of a map stays the first dimension."""
    more = rank - value.rank
    if not more:
        return value
    tensor = tf.reshape(value.tensor, [*[1] * more, *value.tensor.shape])
    return Value(tensor, (*range(more), *(axis + more for axis in value.axes)))


def constant_like(tf: ModuleType, constant: NDArray[Any], axes: Axes) -> Any:
    """A constant of ONNX as a tensor that broadcasts over a value with these axes."""
    if constant.size == 1:
        return tf.constant(constant.reshape(()), tf.float32)
    if axes == plain(len(axes)) and constant.ndim <= len(axes):
        return tf.constant(np.ascontiguousarray(constant), tf.float32)
    whole = constant.reshape([*[1] * (len(axes) - constant.ndim), *constant.shape])
    return tf.constant(np.ascontiguousarray(whole.transpose(axes)), tf.float32)
