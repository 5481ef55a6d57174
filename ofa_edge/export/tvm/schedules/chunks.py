"""Products with more weights than stay in a cache from one inference to the next: taken in chunks of input channels.

Tile after tile, a panel of weights comes from memory while the first tiles of pixels wait for it, and from the level 2
cache for each that follows. A chunk of it comes once, evenly over all of the work, and stays in the level 1 cache
while all pixels pass.

Given, for a window (a pointwise convolution has m for n, y, x and no dy, dx)::

    for n, y, x, f, dy, dx, c: sum[n, y, x, f] += padded[n, s y + dy, s x + dx, c] * weight[dy, dx, c, f]
    for n, y, x, f: out[n, y, x, f] = activation(sum + bias) + residual

Result::

    padded = data or 0
    parallel for f tile:
        sum = 0
        for c chunk, n, y, x tile:
            part = 0
            for dy, dx, c: unrolled for x, vectors of f: part += padded[..] * weight[f tile, dy, dx, c, f]
            sum += part
        out = activation(sum + bias) + residual
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.nest import Nest, extents
from ofa_edge.export.tvm.schedules.packing import pack_weights
from ofa_edge.export.tvm.schedules.tiles import Tile, best_tile, divisors, spread, unroll, vectorize_last

_LEAST_STEPS = 32  # that a tile takes before its sums go back to memory
_LEAST_ROWS = 4  # with fewer, weights are read about once however they are taken


@dataclass(frozen=True)
class Chunk:
    """A tile of pixels by channels, and how many input channels of its panel of weights are taken at a time."""

    tile: Tile
    inputs: int

    @property
    def panel(self) -> int:
        """Channels of a panel."""
        return self.tile.vectors * self.tile.lanes


def chosen(width: int, channels: int, taps: int, inputs: int, isa: Isa, knobs: Knobs, bits: int) -> Chunk | None:
    """The chunk of a product; None where it is better taken at once.

    Args:
        width: pixels of a row of tiles.
        channels: that are given.
        taps: of the window.
        inputs: input channels.
        isa: of the CPU.
        knobs: what caches keep.
        bits: of one value.
    """
    if not knobs.pack or taps * inputs * channels * bits // 8 <= 1024 * knobs.resident_kib:
        return None
    tile = _tile(width, channels, isa, knobs, bits)
    column = taps * tile.vectors * tile.lanes * bits // 8
    part = Chunk(tile, max(divisors(inputs, max(1, 1024 * knobs.chunk_kib // column))))
    if channels // part.panel < max(2, isa.threads) or tile.rows < _LEAST_ROWS:
        return None
    return part if _LEAST_STEPS <= taps * part.inputs < taps * inputs else None


def _tile(width: int, channels: int, isa: Isa, knobs: Knobs, bits: int) -> Tile:
    """The tile with the longest rows of weights among those that fill the registers best."""
    lanes = isa.lanes(bits)

    def score(tile: Tile) -> float | None:
        inputs = tile.rows if isa.lane_operands else 1 - isa.memory_operands  # registers; none where memory is read
        if (tile.rows + 1) * tile.vectors + inputs > isa.registers:
            return None
        return (tile.rows * tile.vectors + tile.vectors / 100) * tile.lanes / lanes

    return best_tile(width, channels, divisors(channels, lanes), (knobs.rows, knobs.vectors), score)


def schedule_chunks(
    nest: Nest,
    weight: int,
    places: Sequence[Any],
    window: Sequence[Any],
    inputs: Any,
    chunk: Chunk,
    isa: Isa,
    knobs: Knobs,
) -> int:
    """Schedule a product whose padding is scheduled.

    Args:
        nest: its blocks.
        weight: index of the weights among the parameters; they are packed.
        places: loops of its reduction over the batch and the map.
        window: those over taps.
        inputs: that over input channels.
        chunk: see `chosen`.
        isa: of the CPU.
        knobs: bounds.

    Returns:
        The width of the panels into which the weights are packed.
    """
    schedule, whole, tile = nest.schedule, nest.reduction, chunk.tile
    pack_weights(nest, weight, chunk.panel)
    work = math.prod(extents(schedule, schedule.get_loops(whole)))
    taken, _ = schedule.split(inputs, [None, chunk.inputs])
    part = schedule.rfactor(taken, 0)
    *before, last, channel, taken = schedule.get_loops(whole)
    x_out, x_in = schedule.split(last, [None, tile.rows])
    group, vector, lane = schedule.split(channel, [None, tile.vectors, tile.lanes])
    schedule.reorder(group, taken, *before, x_out, x_in, vector, lane)
    schedule.vectorize(lane)
    unroll(schedule, (x_in, vector))
    anchor, depth = spread(schedule, [group], isa, work, knobs)

    schedule.set_scope(part, 0, "local")
    schedule.compute_at(part, x_out)
    outer = depth + 1 + len(places)
    *ones, x_in, channel = schedule.get_loops(part)[outer : -len(window) - 1]
    *taps, step = schedule.get_loops(part)[-len(window) - 1 :]
    vector, lane = schedule.split(channel, [None, tile.lanes])
    turn, step = schedule.split(step, [None, max(divisors(chunk.inputs, knobs.unroll))])
    schedule.reorder(*ones, *taps, turn, step, x_in, vector, lane)
    schedule.vectorize(lane)
    unroll(schedule, (step, x_in, vector))
    start = schedule.get_loops(schedule.decompose_reduction(part, (*taps, turn)[0]))[outer:]
    unroll(schedule, vectorize_last(schedule, start, tile.lanes))

    start = schedule.get_loops(schedule.decompose_reduction(whole, taken))[depth:]
    vectorize_last(schedule, start, tile.lanes)
    schedule.reverse_compute_at(nest.epilogue, anchor)
    vectorize_last(schedule, schedule.get_loops(nest.epilogue)[depth:], tile.lanes)
    return chunk.panel
