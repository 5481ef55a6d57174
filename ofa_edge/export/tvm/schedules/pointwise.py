"""Pointwise convolutions, fully connected layers and squeeze-and-excite: matrix products.

Given::

    for n, y, x, f, c: sum[n, y, x, f] += data[n, y, x, c] * weight[c, f]
    for n, y, x, f: out[n, y, x, f] = activation(sum[n, y, x, f] + bias[f]) + residual[n, y, x, f]

Result (m runs over all pixels; a tile of sums stays in registers)::

    parallel for m tile, f tile:
        for c: unrolled for rows of m, vectors of f: sum += data[m, c] * weight[f tile, c, f]
        out = activation(sum + bias) + residual

Pixels are one axis, because a tile of 7 or 14 rows seldom divides a picture's width. Weights are laid out in panels of
a tile's width, [f tiles, c, f], so that they are read in order, one page of memory after the other.
"""

import math
from typing import Any

from ofa_edge.export.tvm.schedules import chunks
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import Nest, extents
from ofa_edge.export.tvm.schedules.packing import pack_weights
from ofa_edge.export.tvm.schedules.tiles import (
    Tile,
    best_tile,
    divisors,
    filled,
    finish_tile,
    on_stack,
    peel_last,
    spread,
    threads_of,
    unroll,
)

NAME, BATCHED = "pointwise", "batched"
_STREAM_BYTES = 16  # from the level 2 cache while one multiply-add or load is issued


def schedule_pointwise(
    nest: Nest, weight: int | None, isa: Isa, knobs: Knobs, bits: int, matrices: int = 1
) -> int | None:
    """Schedule a product.

    Args:
        nest: its blocks; the reduction's axes are [.., pixels, .., channels, reduced..].
        weight: index of the weights among the parameters, where they may be packed.
        isa: of the CPU.
        knobs: bounds and orders.
        bits: of one sum.
        matrices: how many products: the leading axes of pixels, which have weights each.

    Returns:
        The width of the panels into which the weights are packed; None where they stay.
    """
    schedule = nest.schedule
    for block in nest.pads:
        schedule.compute_inline(block)
    *batch, rows_loop, channel_loop, reduced = _flatten(nest, matrices)
    rows, channels, depth = extents(schedule, (rows_loop, channel_loop, reduced))
    if weight is not None:
        chunk = chunks.chosen(rows, channels, 1, depth, isa, knobs, bits)
        if chunk is not None:
            return chunks.schedule_chunks(nest, weight, [rows_loop], [], reduced, chunk, isa, knobs)
    work = matrices * rows * channels * depth
    threads = threads_of(isa, work, knobs)
    cut = weight is None and (matrices > 1 or threads == 1)
    tile = product_tile(rows, channels, isa, knobs, bits, ragged=True, cut=cut)
    panel = tile.vectors * tile.lanes
    packed = weight is not None and knobs.pack and channels > panel
    if weight is not None and packed:
        pack_weights(nest, weight, panel)
    rows_first = rows_outermost(rows, channels, knobs)
    ragged = rows % tile.rows != 0
    if ragged and rows_first and threads > 1:
        # A loop that threads share cannot have its last turn peeled off: each gets a slice that has its own last turn.
        rows_first = rows % threads == 0
        if rows_first:
            slices, rows_loop = schedule.split(rows_loop, [threads, None])
            batch.append(slices)
            ragged = rows // threads % tile.rows != 0
    row, row_in = schedule.split(rows_loop, [None, tile.rows])
    channel, vector, lane = schedule.split(channel_loop, [None, tile.vectors, tile.lanes])
    turn, step = schedule.split(reduced, [None, max(divisors(depth, knobs.unroll))])
    peeled = [loop for loop, cut_off in ((row, ragged), (channel, channels % panel)) if cut_off]
    outer = [*batch, row, channel] if rows_first else [*batch, channel, row]
    schedule.reorder(*outer, turn, step, row_in, vector, lane)
    schedule.vectorize(lane)
    unroll(schedule, (step, row_in, vector))
    for loop in peeled:
        peel_last(schedule, loop)
    shared = outer[: min(map(outer.index, peeled), default=len(outer))]
    anchor, loops = outer[-1], len(outer)
    if shared:
        last, loops = spread(schedule, shared, isa, work, knobs)
        anchor, loops = (anchor if peeled else last), loops + len(outer) - len(shared)
    finish_tile(nest, anchor, turn, loops, tile.lanes)
    return panel if packed else None


def rows_outermost(rows: int, channels: int, knobs: Knobs) -> bool:
    """Whether pixels come first: then weights are read once a tile of pixels, else pixels once a panel of weights."""
    return rows >= channels if knobs.order == "auto" else knobs.order == "rows"


def product_tile(
    rows: int, channels: int, isa: Isa, knobs: Knobs, bits: int, *, ragged: bool = False, cut: bool = False
) -> Tile:
    """The tile of highest `product_score` among those that fit; `ragged` and `cut` as in `best_tile`."""
    lanes = isa.lanes(bits)
    widths, limits = divisors(channels, lanes), (knobs.rows, knobs.vectors)

    def score(tile: Tile) -> float | None:
        return product_score(tile, isa, knobs, bits)

    best = best_tile(rows, channels, widths, limits, score, ragged=ragged)
    if not cut or best.lanes == lanes or channels < lanes:
        return best
    return best_tile(rows, channels, [lanes], limits, score, ragged=ragged, cut=True)


def product_score(tile: Tile, isa: Isa, knobs: Knobs, bits: int) -> float | None:
    """How little a tile keeps multiply-adds waiting, 1 and a little more at best; None where it does not fit.

    One input channel is `rows * vectors` multiply-adds, a load for each row and each vector, and as many bytes of
    weights, which come from the level 2 cache.
    """
    row_loads = 1 / knobs.unroll if isa.lane_operands else 1.0
    operands = tile.rows if isa.lane_operands else 1
    if (tile.rows + 1) * tile.vectors + operands > isa.registers or not on_stack(tile, bits):
        return None
    products = tile.rows * tile.vectors
    # A vector of 12 comes in two loads, of 8 and 4.
    loads = tile.rows * row_loads + tile.vectors * tile.lanes.bit_count()
    streamed = tile.vectors * isa.vector_bytes / _STREAM_BYTES
    limit = max(products, loads, streamed)
    return (products / limit + 0.1 * products / (products + loads)) * filled(tile, isa.lanes(bits))


def _flatten(nest: Nest, matrices: int) -> list[Any]:
    """Make one axis of all pixels and one of all reduced axes, [m, f, k] or, of several matrices, [b, m, f, k]."""
    from tvm.tirx import IndexMap

    schedule = nest.schedule
    axes = schedule.get(nest.reduction).iter_vars
    sizes = [int(axis.dom.extent) for axis in axes]
    spatial = sum(axis.iter_type != 2 for axis in axes)
    pixels, channels = sizes[: spatial - 1], sizes[spatial - 1]
    first = next(place for place in range(spatial) if math.prod(pixels[:place]) == matrices) if matrices > 1 else 0

    def joined(indices: tuple[Any, ...], lengths: list[int]) -> Any:
        flat: Any = 0
        for index, length in zip(indices, lengths, strict=True):
            flat = flat * length + index
        return flat

    def plane(*indices: Any) -> list[Any]:
        batch = [joined(indices[:first], pixels[:first])] if first else []
        return [*batch, joined(indices[first:-1], pixels[first:]), indices[-1]]

    def volume(*indices: Any) -> list[Any]:
        return [*plane(*indices[:spatial]), joined(indices[spatial:], sizes[spatial:])]

    schedule.transform_block_layout(nest.reduction, IndexMap.from_func(volume, ndim=len(sizes)))
    schedule.transform_block_layout(nest.epilogue, IndexMap.from_func(plane, ndim=spatial))
    schedule.transform_layout(nest.reduction, ("write", 0), IndexMap.from_func(plane, ndim=spatial))
    loops = schedule.get_loops(nest.reduction)
    assert extents(schedule, loops)[-3:-1] == [math.prod(pixels) // matrices, channels]
    return list(loops)
