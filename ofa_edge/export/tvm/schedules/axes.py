"""Orders of axes: a value is kept as a tensor whose axes lie in another order than the graph says.

`order[place]` is the axis that lies at `place`: (0, 2, 3, 1) is a picture [N, C, H, W] kept as [N, H, W, C].
"""

import math
from collections.abc import Sequence

Order = tuple[int, ...]


def as_given(rank: int) -> Order:
    """The order of the graph."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """[N, C, ..] kept as [N, .., C]."""
    return (0, *range(2, rank), 1)


def permutation(kept: Order, wanted: Order) -> Order:
    """The axes of a transpose from one order to another."""
    return tuple(kept.index(axis) for axis in wanted)


def transposed(kept: Order, axes: Sequence[int]) -> Order:
    """The order in which a transpose of the graph keeps its value, where no number moves."""
    return tuple(list(axes).index(axis) for axis in kept)


def reduced(kept: Order, axes: Sequence[int], *, keep: bool) -> Order:
    """The order after a reduction over `axes` of the graph, which stay with size 1 where `keep`."""
    if keep:
        return kept
    left = sorted(set(kept) - set(axes))
    return tuple(left.index(axis) for axis in kept if axis in left)


def same_memory(shape: Sequence[int], kept: Order, wanted: Order) -> bool:
    """Whether two orders differ in axes of size 1 only, so that no number moves between them."""
    return [axis for axis in kept if shape[axis] != 1] == [axis for axis in wanted if shape[axis] != 1]


def reshaped(shape: Sequence[int], kept: Order, wanted: Sequence[int]) -> Order | None:
    """The order after a reshape of the graph that moves no number; None where it would have to move some.

    Args:
        shape: before, as the graph says.
        kept: the order before.
        wanted: the shape after, as the graph says.
    """
    groups = _groups(shape, wanted)
    if groups is None:
        return None
    lying = [axis for axis in kept if shape[axis] != 1]
    order: list[int] = []
    while lying:
        before, after = next(group for group in groups if lying[0] in group[0])
        if lying[: len(before)] != before:
            return None
        lying = lying[len(before) :]
        order += after
    ones = [axis for axis, size in enumerate(wanted) if size == 1]
    return as_given(len(wanted)) if order == sorted(order) else (*ones, *order)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]] | None:
    """Axes of both shapes whose sizes have equal products, in order; axes of size 1 left out."""
    if math.prod(before) != math.prod(after) or 0 in before:
        return None
    first, second = ([axis for axis, size in enumerate(shape) if size != 1] for shape in (before, after))
    groups = []
    while first:
        one, other = [first.pop(0)], [second.pop(0)]
        while (a := math.prod(before[i] for i in one)) != (b := math.prod(after[i] for i in other)):
            shorter, rest = (one, first) if a < b else (other, second)
            shorter.append(rest.pop(0))
        groups.append((one, other))
    return groups
