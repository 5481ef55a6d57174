import numpy as np
import pytest

from ofa_edge.export.tvm.schedules.axes import (
    as_given,
    channels_last,
    permutation,
    reduced,
    reshaped,
    same_memory,
    transposed,
)

LAST = channels_last(4)


def kept(value: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """A value as it lies in an order."""
    return np.ascontiguousarray(value.transpose(order))


@pytest.mark.parametrize("wanted", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_from_one_order_to_another(wanted):
    value = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(kept(value, LAST).transpose(permutation(LAST, wanted)), kept(value, wanted))


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (1, 0, 3, 2), (3, 2, 1, 0)])
def test_a_transpose_of_the_graph_moves_nothing(axes):
    value = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(kept(value, LAST), kept(value.transpose(axes), transposed(LAST, axes)))


@pytest.mark.parametrize("axes", [(1,), (2, 3), (0, 3)])
def test_what_a_reduction_leaves(axes):
    value = np.arange(120).reshape(2, 3, 4, 5)
    places = tuple(LAST.index(axis) for axis in axes)
    np.testing.assert_array_equal(kept(value, LAST).sum(places), kept(value.sum(axes), reduced(LAST, axes, keep=False)))
    assert reduced(LAST, axes, keep=True) == LAST


@pytest.mark.parametrize(
    ("shape", "order", "wanted"),
    [
        ((1, 6, 4, 5), LAST, (1, 6, 20)),
        ((1, 6, 4, 5), LAST, (1, 2, 3, 4, 5)),
        ((1, 6, 20), (0, 2, 1), (1, 6, 4, 5)),
        ((1, 6, 1, 1), LAST, (1, 6)),
        ((6, 20), (1, 0), (1, 6, 4, 5, 1)),
        ((1, 6, 4, 5), as_given(4), (120,)),
        ((1, 1, 1), (2, 0, 1), (1,)),
    ],
)
def test_a_reshape_that_moves_nothing(shape, order, wanted):
    value = np.arange(np.prod(shape)).reshape(shape)
    after = reshaped(shape, order, wanted)
    assert after is not None
    np.testing.assert_array_equal(kept(value, order).ravel(), kept(value.reshape(wanted), after).ravel())


@pytest.mark.parametrize("wanted", [(1, 24, 5), (120,), (1, 3, 2, 20, 1, 7)])
def test_a_reshape_that_would_move_numbers_is_none(wanted):
    assert reshaped((1, 6, 4, 5), LAST, wanted) is None


def test_axes_of_one_may_lie_anywhere():
    assert same_memory((1, 6, 1, 1), as_given(4), LAST)
    assert not same_memory((1, 6, 2, 1), as_given(4), LAST)
