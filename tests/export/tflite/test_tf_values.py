"""Reshapes that move no data, under any order of the dimensions."""

import itertools
import math

import numpy as np
import pytest

from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, plain, reshaped_axes

CASES = {
    "a map to tokens": ((1, 4, 3, 5), IMAGE, (1, 4, 15), (0, 2, 1)),
    "tokens to a map": ((1, 4, 15), (0, 2, 1), (1, 4, 3, 5), IMAGE),
    "channels split": ((1, 4, 3, 5), IMAGE, (1, 2, 2, 3, 5), (0, 3, 4, 1, 2)),
    "a vector": ((1, 4, 1, 1), IMAGE, (1, 4), (0, 1)),
    "rows of a map": ((1, 4, 3, 5), plain(4), (12, 5), (0, 1)),
    "channels joined with rows": ((1, 4, 3, 5), IMAGE, (1, 12, 5), None),
    "flattened": ((1, 4, 3, 5), IMAGE, (1, 60), None),
    "another count": ((1, 4, 3, 5), IMAGE, (1, 61), None),
}


class Tensor:
    """A shape is all that is looked at."""

    def __init__(self, shape):
        self.shape = shape


def value(shape, axes):
    return Value(Tensor([shape[axis] for axis in axes]), axes)


@pytest.mark.parametrize("case", CASES)
def test_known_forms(case):
    shape, axes, wanted, found = CASES[case]
    assert reshaped_axes(value(shape, axes), wanted) == found


def test_every_order_of_small_shapes_is_right():
    """Against numpy: where axes are given, reshaping the data as they lie is ONNX's reshape."""
    moved = 0
    targets = [
        (24,),
        (4, 6),
        (2, 12),
        (2, 3, 4),
        (1, 24, 1),
        (4, 1, 3, 2),
        (2, 2, 6),
        (1, 4, 2, 3),
        (8, 3),
        (2, 2, 3, 2),
    ]
    for shape in [(2, 3, 4), (4, 1, 6), (1, 4, 2, 3), (2, 2, 3, 2), (24, 1)]:
        data = np.arange(math.prod(shape)).reshape(shape)
        for axes, target in itertools.product(itertools.permutations(range(len(shape))), targets):
            found = reshaped_axes(value(shape, axes), target)
            if found is None:
                moved += 1
                continue
            lying = data.transpose(axes).reshape([target[axis] for axis in found])
            np.testing.assert_array_equal(lying, data.reshape(target).transpose(found))
    assert moved, "else nothing was ever refused"
    assert all(reshaped_axes(value((2, 3, 4), plain(3)), target) for target in targets), "plain data never move"
