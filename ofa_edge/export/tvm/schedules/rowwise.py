"""Reductions of the innermost axes, one or several of them in a function: softmax, layer norm, means of whole rows.

Given::

    for r, k: most[r] = max(most[r], data[r, k])
    for r, k: e[r, k] = exp(data[r, k] - most[r])
    for r, k: sum[r] += e[r, k]
    for r, k: out[r, k] = e[r, k] / sum[r]

Result (a row stays in the level 1 cache from the first loop to the last)::

    parallel for r:
        for ko: vector of k: most[k] = max(most[k], data[r, ko, k])
        for k: most = max(most, most[k])
        ...
        for ko: vector of k: out[r, ko, k] = e[ko, k] / sum
"""

import math
from typing import Any

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import (
    REDUCE,
    NotCoveredError,
    bits_of,
    blocks_of,
    depends,
    elements,
    extents,
    is_reduction,
)
from ofa_edge.export.tvm.schedules.tiles import peel_last, spread

NAME = "rowwise"
_WORK = 8  # an element costs about as much as so many multiply-adds


def is_rowwise(schedule: Any) -> bool:
    """Whether each reduction of a function, one at least, sums or compares what lies innermost in one operand."""
    reductions = [schedule.get(block) for block in blocks_of(schedule) if is_reduction(schedule, block)]
    return bool(reductions) and all(map(_is_innermost, reductions))


def _is_innermost(block: Any) -> bool:
    reduced = [axis.var for axis in block.iter_vars if axis.iter_type == REDUCE]
    operands = [
        [depends(axis.min, reduced) for axis in region.region]
        for region in block.reads
        if any(depends(axis.min, reduced) for axis in region.region)
    ]
    return len(operands) == 1 and operands[0][-1]


def schedule_rowwise(schedule: Any, isa: Isa, knobs: Knobs) -> None:
    """Schedule a function that reduces rows, however often, and what it does between.

    Raises:
        NotCoveredError: reductions over different axes.
    """
    _inline_single(schedule)
    blocks = blocks_of(schedule)
    reductions = [block for block in blocks if is_reduction(schedule, block)]
    rows = elements(schedule, reductions[0])
    if any(elements(schedule, block) != rows for block in reductions):
        raise NotCoveredError("reductions of different axes")
    lanes = isa.lanes(bits_of(schedule, reductions[0]))
    width = max(_work(schedule, block) for block in blocks) // rows
    for block in reductions:
        _split_sum(schedule, block, lanes)
    *before, last = blocks_of(schedule)
    leading = _leading(schedule, last, rows)
    row = schedule.fuse(*leading) if len(leading) > 1 else leading[0]
    for block in reversed(before):
        schedule.compute_at(block, row)
    for block in [*before, last]:
        _vectorize(schedule, block, lanes)
    spread(schedule, [row], isa, _WORK * rows * width, knobs)


def _inline_single(schedule: Any) -> None:
    """Inline what is done to each value where one block alone asks for it."""
    *before, _ = blocks_of(schedule)
    for block in before:
        if not is_reduction(schedule, block) and len(schedule.get_consumers(block)) == 1:
            schedule.compute_inline(block)


def _work(schedule: Any, block: Any) -> int:
    return math.prod(int(axis.dom.extent) for axis in schedule.get(block).iter_vars)


def _leading(schedule: Any, block: Any, rows: int) -> list[Any]:
    """The outer loops of a block, one turn for each row."""
    if rows == 1:
        return [schedule.add_unit_loop(schedule.get_loops(block)[0])]
    loops = schedule.get_loops(block)
    sizes = extents(schedule, loops)
    count = next((n for n in range(len(loops) + 1) if math.prod(sizes[:n]) == rows), None)
    if not count:
        raise NotCoveredError("rows that are no outer loops")
    return list(loops[:count])


def _split_sum(schedule: Any, block: Any, lanes: int) -> None:
    """Sum in a vector, whose values are summed at the end; only in whole vectors: TVM 0.27 forgets other bounds."""
    kinds = [axis.iter_type for axis in schedule.get(block).iter_vars]
    reduced = [loop for loop, kind in zip(schedule.get_loops(block), kinds, strict=True) if kind == REDUCE]
    loop = schedule.fuse(*reduced) if len(reduced) > 1 else reduced[0]
    size = extents(schedule, [loop])[0]
    if size % lanes == 0 and size > lanes > 1:
        schedule.rfactor(schedule.split(loop, [None, lanes])[1], len(kinds) - len(reduced))


def _vectorize(schedule: Any, block: Any, lanes: int) -> None:
    """Vectors of a block's loops below the row; a sum that is kept in a vector starts outside its loop."""
    inner = list(schedule.get_loops(block))[1:]
    if is_reduction(schedule, block):
        if len(inner) == 2 and extents(schedule, inner)[0] == lanes:
            lane, turn = inner
            schedule.reorder(turn, lane)
            schedule.vectorize(lane)
            schedule.vectorize(schedule.get_loops(schedule.decompose_reduction(block, turn))[-1])
        return
    loop = schedule.fuse(*inner) if len(inner) > 1 else next(iter(inner), None)
    if loop is None or extents(schedule, [loop])[0] < lanes:
        return
    size = extents(schedule, [loop])[0]
    turn, lane = schedule.split(loop, [None, lanes])
    schedule.vectorize(lane)
    if size % lanes:
        peel_last(schedule, turn)
