"""Convolutions over a window: depthwise k x k, and dense k x k (the first convolution, ResNet's 3 x 3).

Given::

    for n, y, x, c: padded[n, y, x, c] = data or 0
    for n, y, x, f, dy, dx, c: sum[n, y, x, f] += padded[n, s y + dy, s x + dx, c] * weight[dy, dx, c, f]
    for n, y, x, f: out[n, y, x, f] = activation(sum + bias) + residual

Result, depthwise (a band of padded rows, a few channels wide, stays in the level 1 cache)::

    parallel for y band, f tile:
        band = padded rows of this tile
        for y, x tile:
            for dy: unrolled for dx, x, vectors of f: sum += band[s y + dy, s x + dx, f] * weight[dy, dx, f]
            out = activation(sum + bias)

Result, dense (each input value is used by all output channels, so that padding costs next to nothing)::

    padded = data or 0
    parallel for y, f tile, x tile:
        for dy, dx, c: unrolled for x, vectors of f: sum += padded[s y + dy, s x + dx, c] * weight[f tile, dy, dx, c, f]
        out = activation(sum + bias) + residual
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from ofa_edge.export.tvm.schedules import chunks
from ofa_edge.export.tvm.schedules.elementwise import schedule_block
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import Nest, NotCoveredError, extents
from ofa_edge.export.tvm.schedules.packing import pack_weights
from ofa_edge.export.tvm.schedules.pointwise import product_score, product_tile, rows_outermost
from ofa_edge.export.tvm.schedules.tiles import (
    Tile,
    best_tile,
    divisors,
    filled,
    finish_tile,
    on_stack,
    spread,
    unroll,
    vector_of,
    vectorize_last,
)

DEPTHWISE, DENSE, GROUPED = "depthwise", "dense", "grouped"


def schedule_depthwise(nest: Nest, isa: Isa, knobs: Knobs, bits: int) -> None:
    """Schedule a depthwise convolution."""
    schedule = nest.schedule
    loops = _loops(nest)
    if len(loops.places) != 3:
        raise NotCoveredError(f"a depthwise window of {len(loops.window)} axes")
    (batch, y, x), channel, (dy, dx), unit = loops.places, loops.channel, loops.window, loops.inputs
    height, width, channels, taps = extents(schedule, (y, x, channel, dy))
    tile = window_tile(width, channels, taps, isa, knobs, bits)
    band = _band_rows(nest, tile, knobs, bits)
    y_out, y_in = schedule.split(y, [None, band])
    x_out, x_in = schedule.split(x, [None, tile.rows])
    group, vector, lane = schedule.split(channel, [None, tile.vectors, tile.lanes])
    schedule.reorder(batch, y_out, group, y_in, x_out, dy, dx, unit, x_in, vector, lane)
    schedule.vectorize(lane)
    unroll(schedule, (x_in, vector, unit, dx))
    if taps <= knobs.window_unroll:
        schedule.unroll(dy)
    anchor, count = spread(schedule, [batch, y_out, group], isa, height * width * channels * taps**2, knobs)
    pad = _last_pad(nest)
    if pad is not None:
        schedule.compute_at(pad, anchor)
        inner = schedule.get_loops(pad)
        schedule.unroll(vectorize_last(schedule, inner, tile.lanes)[-1])
    finish_tile(nest, x_out, dy, count + 2, tile.lanes)


def schedule_dense(nest: Nest, weight: int | None, isa: Isa, knobs: Knobs, bits: int, groups: int = 1) -> int | None:
    """Schedule a convolution of one to three dimensions, dense or of groups whose channels fill vectors.

    Args:
        nest: its blocks; the reduction's axes are [batch, y.., channels, dy.., inputs].
        weight: as in `schedule_pointwise`, and so are the others.
        isa: of the CPU.
        knobs: bounds and orders.
        bits: of one sum.
        groups: of channels.

    Returns:
        The panels' width as `schedule_pointwise` does.
    """
    schedule = nest.schedule
    loops = _loops(nest)
    places, depth = extents(schedule, loops.places), extents(schedule, [loops.inputs])[0]
    channels, taps = extents(schedule, [loops.channel])[0], math.prod(extents(schedule, loops.window))
    pad = _last_pad(nest)
    if pad is not None:
        schedule_block(schedule, pad, isa, knobs)
    if weight is not None and groups == 1:
        chunk = chunks.chosen(places[-1], channels, taps, depth, isa, knobs, bits)
        if chunk is not None:
            return chunks.schedule_chunks(nest, weight, loops.places, loops.window, loops.inputs, chunk, isa, knobs)
    tile, lines = _plane_tile(places, channels // groups, isa, knobs, bits)
    panel = tile.vectors * tile.lanes
    packed = weight is not None and knobs.pack and channels > panel
    if weight is not None and packed:
        pack_weights(nest, weight, panel)
    *before, last = loops.places
    x_out, x_in = schedule.split(last, [None, tile.rows // lines])
    inner = [x_in]
    if lines > 1:
        before[-1], y_in = schedule.split(before[-1], [None, lines])
        inner = [y_in, x_in]
    group, vector, lane = schedule.split(loops.channel, [None, tile.vectors, tile.lanes])
    turn, step = schedule.split(loops.inputs, [None, max(divisors(depth, knobs.unroll))])
    rows_first = rows_outermost(math.prod(places), channels, knobs)
    outer = [*before, group, x_out] if rows_first else [group, *before, x_out]
    schedule.reorder(*outer, *loops.window, turn, step, *inner, vector, lane)
    schedule.vectorize(lane)
    unroll(schedule, (step, *inner, vector))
    anchor, count = spread(schedule, outer, isa, math.prod(places) * channels * depth * taps, knobs)
    finish_tile(nest, anchor, loops.window[0], count, tile.lanes)
    return panel if packed else None


def _plane_tile(places: list[int], channels: int, isa: Isa, knobs: Knobs, bits: int) -> tuple[Tile, int]:
    """The best tile of columns by channels, and its lines: two where that is as good, for it reads fewer weights."""
    one = product_tile(places[-1], channels, isa, knobs, bits)
    if len(places) < 3 or places[-2] % 2 or not isa.memory_operands:  # two lines take more registers for addresses
        return one, 1

    def score(half: Tile) -> float | None:
        return product_score(replace(half, rows=2 * half.rows), isa, knobs, bits)

    half = best_tile(places[-1], channels, divisors(channels, isa.lanes(bits)), (knobs.rows // 2, knobs.vectors), score)
    as_good = (score(half) or 0.0) >= (product_score(one, isa, knobs, bits) or 0.0)
    return (replace(half, rows=2 * half.rows), 2) if as_good and half.vectors < one.vectors else (one, 1)


def window_tile(width: int, channels: int, taps: int, isa: Isa, knobs: Knobs, bits: int) -> Tile:
    """The tile of highest `window_score` among those that fit."""
    widths, limits = [vector_of(channels, isa.lanes(bits))], (knobs.window_columns, knobs.window_vectors)
    return best_tile(width, channels, widths, limits, lambda tile: window_score(tile, taps, isa, bits))


def window_score(tile: Tile, taps: int, isa: Isa, bits: int) -> float | None:
    """Multiply-adds for each load: one row of `taps` columns is read for `rows` outputs. None where it does not fit."""
    if (tile.rows + 1) * tile.vectors + 1 > isa.registers or not on_stack(tile, bits):
        return None
    return tile.rows * tile.vectors / (tile.rows + taps - 1 + tile.vectors) * filled(tile, isa.lanes(bits))


@dataclass(frozen=True)
class _Loops:
    """Of a convolution: batch and the axes of the map, output channels; the window's axes, input channels."""

    places: list[Any]
    channel: Any
    window: list[Any]
    inputs: Any


def _loops(nest: Nest) -> _Loops:
    loops = list(nest.schedule.get_loops(nest.reduction))
    axes, odd = divmod(len(loops) - 3, 2)
    if axes < 1 or odd:
        raise NotCoveredError(f"a window of {len(loops)} loops")
    return _Loops(loops[: axes + 1], loops[axes + 1], loops[axes + 2 : -1], loops[-1])


def _last_pad(nest: Nest) -> Any | None:
    """The one block that pads; those before it are inlined."""
    for block in nest.pads[:-1]:
        nest.schedule.compute_inline(block)
    return nest.pads[-1] if nest.pads else None


def _band_rows(nest: Nest, tile: Tile, knobs: Knobs, bits: int) -> int:
    """Output rows of a band whose padded input fits into the cache."""
    schedule = nest.schedule
    height = extents(schedule, [schedule.get_loops(nest.reduction)[1]])[0]
    if not nest.pads:
        return max(divisors(height, 8))
    _, padded_rows, padded_width, _ = (int(n) for n in schedule.get(nest.pads[-1]).writes[0].source.shape)
    row_bytes = padded_width * tile.vectors * tile.lanes * bits // 8
    stride = max(1, padded_rows // height)
    fitting = max(1, knobs.slab_kib * 1024 // (row_bytes * stride) - padded_rows % height)
    return max(divisors(height, fitting))
