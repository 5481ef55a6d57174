"""Pooling: maximum, average (also where the window hangs over the edge), and over the whole map.

Given::

    for n, y, x, c, dy, dx: sum[n, y, x, c] += data[n, s y + dy, s x + dx, c]
    for n, y, x, c: out[n, y, x, c] = sum[n, y, x, c] / count(y, x)

Result::

    parallel for n, y, x, c tile:
        for dy, dx: unrolled for vectors of c: sum += data[n, s y + dy, s x + dx, c]
        out = sum / count(y, x)
"""

import math

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import Nest, extents
from ofa_edge.export.tvm.schedules.tiles import divisors, finish_tile, spread, unroll, vector_of

NAME = "pooling"
_VECTORS = 8


def schedule_pooling(nest: Nest, isa: Isa, knobs: Knobs, bits: int) -> None:
    """Schedule a reduction of pixels, channel by channel."""
    schedule = nest.schedule
    for block in nest.pads:
        schedule.compute_inline(block)
    axes = schedule.get(nest.reduction).iter_vars
    spatial = sum(axis.iter_type != 2 for axis in axes)
    loops = schedule.get_loops(nest.reduction)
    pixels, channel, window = loops[: spatial - 1], loops[spatial - 1], loops[spatial:]
    sizes = extents(schedule, loops)
    lanes = vector_of(sizes[spatial - 1], isa.lanes(bits))
    group, vector, lane = schedule.split(channel, [None, max(divisors(sizes[spatial - 1] // lanes, _VECTORS)), lanes])
    schedule.reorder(*pixels, group, *window, vector, lane)
    schedule.vectorize(lane)
    schedule.unroll(vector)
    if math.prod(sizes[spatial:]) <= 9:
        unroll(schedule, window)
    anchor, depth = spread(schedule, [*pixels, group], isa, math.prod(sizes), knobs)
    finish_tile(nest, anchor, window[0], depth, lanes)
