"""Elementwise functions, reshapes and transposes: one loop over vectors of the last axis.

Given::

    for n, y, x, c: out[n, y, x, c] = f(a[n, y, x, c], b[c])

Result::

    parallel for n, y, x, co: vector of c: out[...] = f(...)
"""

import math
from typing import Any

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import bits_of, blocks_of, extents
from ofa_edge.export.tvm.schedules.tiles import spread, vector_of, vectorize_last

NAME = "elementwise"
_WORK = 4  # an element costs about as much as so many multiply-adds: it waits for memory


def schedule_elementwise(schedule: Any, isa: Isa, knobs: Knobs) -> None:
    """Inline all blocks into the last, and schedule that one."""
    *before, last = blocks_of(schedule)
    for block in before:
        schedule.compute_inline(block)
    schedule_block(schedule, last, isa, knobs)


def schedule_block(schedule: Any, block: Any, isa: Isa, knobs: Knobs) -> None:
    """Vectors of the last axis, the other loops shared by the threads."""
    loops = schedule.get_loops(block)
    if not loops:
        return
    sizes = extents(schedule, loops)
    bits = bits_of(schedule, block)
    loops = vectorize_last(schedule, loops, vector_of(sizes[-1], isa.lanes(bits)))
    spread(schedule, loops, isa, _WORK * math.prod(sizes), knobs)
