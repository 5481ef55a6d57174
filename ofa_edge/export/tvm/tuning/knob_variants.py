"""Knobs worth a trial: few, distinct, and not hopeless by the tiles' own estimate."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ofa_edge.export.tvm.schedules import Knobs, isa_of, schedule
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import NO_CHUNKS
from ofa_edge.export.tvm.schedules.nest import REDUCE, open_nest
from ofa_edge.export.tvm.schedules.pointwise import product_score, product_tile
from ofa_edge.export.tvm.schedules.rules import Scheduled
from ofa_edge.export.tvm.schedules.tiles import Tile
from ofa_edge.export.tvm.schedules.window import window_score, window_tile
from ofa_edge.export.tvm.tuning.functions import NetworkFunction

_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 28)
_VECTORS = range(1, 9)
_HOPEFUL = 0.5  # of the best estimate; the estimate is no better than that
_TILES = 5
_UNROLL = (1, 2, 8)
_SLABS = (8, 16, 48)
_WINDOW_UNROLL = (1, 5, 7)
_PARALLEL = (20_000, 500_000)


@dataclass(frozen=True)
class Variant:
    """Knobs, and the schedule that they give."""

    knobs: Knobs
    scheduled: Scheduled
    digest: str  # equal for equal schedules


@dataclass(frozen=True)
class _Shape:
    """What the tiles' estimates ask for."""

    rows: int  # all pixels of a product, the columns of a window
    channels: int
    taps: int
    bits: int
    ragged: bool  # whether the tile need not divide the rows


def variants(
    function: NetworkFunction, target: Any, around: Knobs, most: int, seen: Collection[str] = ()
) -> list[Variant]:
    """Schedules that differ from those of `around` in one choice.

    Args:
        function: for which; a rule takes it.
        target: LLVM target of a CPU.
        around: where to start from.
        most: how many to give.
        seen: digests of schedules that need no second trial.

    Returns:
        Distinct ones, tiles of high estimate first; without those of `around` itself. None for a function whose rule
        turns nothing.
    """
    known = {*seen, _digest(made(function, target, around).scheduled)}
    found: list[Variant] = []
    for knobs in _neighbours(function, isa_of(target), around):
        if len(found) == most:
            break
        variant = made(function, target, knobs)
        if variant.scheduled.func is not None and variant.digest not in known:
            known.add(variant.digest)
            found.append(variant)
    return found


def made(function: NetworkFunction, target: Any, knobs: Knobs) -> Variant:
    """The variant of some knobs. Its function is None where the rule cannot do that."""
    scheduled = schedule(function.func, target, knobs, function.constants)
    return Variant(knobs, scheduled, _digest(scheduled))


def _digest(scheduled: Scheduled) -> str:
    import tvm_ffi

    return "" if scheduled.func is None else f"{tvm_ffi.structural_hash(scheduled.func)} {scheduled.packed}"


def _neighbours(function: NetworkFunction, isa: Isa, around: Knobs) -> Iterator[Knobs]:
    """Knobs with one choice changed, the most promising kind first."""
    rule = function.default.rule
    if rule in ("pointwise", "dense"):
        yield from _product_tiles(_shape(function), isa, around)
        for order in ("rows", "channels"):
            yield replace(around, order=order)
        yield replace(around, pack=not around.pack)
        yield replace(around, resident_kib=1 if around.resident_kib == NO_CHUNKS else NO_CHUNKS)
        yield from (replace(around, unroll=steps) for steps in _UNROLL)
    elif rule == "depthwise":
        yield from _window_tiles(_shape(function), isa, around)
        yield from (replace(around, slab_kib=room) for room in _SLABS)
        yield from (replace(around, window_unroll=taps) for taps in _WINDOW_UNROLL)
    if isa.threads > 1:
        yield from (replace(around, parallel_work=work) for work in _PARALLEL)


def _product_tiles(shape: _Shape, isa: Isa, around: Knobs) -> list[Knobs]:
    def tile_of(knobs: Knobs) -> Tile:
        return product_tile(shape.rows, shape.channels, isa, knobs, shape.bits, ragged=shape.ragged)

    each = [replace(around, rows=rows, vectors=vectors) for rows in _ROWS for vectors in _VECTORS]
    return _hopeful(each, tile_of, lambda tile: product_score(tile, isa, around, shape.bits))


def _window_tiles(shape: _Shape, isa: Isa, around: Knobs) -> list[Knobs]:
    def tile_of(knobs: Knobs) -> Tile:
        return window_tile(shape.rows, shape.channels, shape.taps, isa, knobs, shape.bits)

    each = [replace(around, window_columns=rows, window_vectors=vectors) for rows in _ROWS for vectors in _VECTORS]
    return _hopeful(each, tile_of, lambda tile: window_score(tile, shape.taps, isa, shape.bits))


def _hopeful(
    each: list[Knobs], tile_of: Callable[[Knobs], Tile], score_of: Callable[[Tile], float | None]
) -> list[Knobs]:
    """One set of knobs for each tile whose estimate comes near the best, the best first."""
    tiles: dict[Tile, tuple[float, Knobs]] = {}
    for knobs in each:
        tile = tile_of(knobs)
        tiles.setdefault(tile, (score_of(tile) or 0.0, knobs))
    ranked = sorted(tiles.values(), key=lambda pair: -pair[0])
    return [knobs for score, knobs in ranked if score >= _HOPEFUL * ranked[0][0]][:_TILES]


def _shape(function: NetworkFunction) -> _Shape:
    """Read off the reduction's axes: [.., pixels, .., channels, reduced..], or [n, y, x, f, dy, dx, c]."""
    from tvm import s_tir
    from tvm.runtime import DataType

    trace = s_tir.Schedule(function.func.with_attr("global_symbol", "main"))
    nest = open_nest(function.func, trace)
    assert nest is not None
    block = trace.get(nest.reduction)
    spatial = [int(axis.dom.extent) for axis in block.iter_vars if axis.iter_type != REDUCE]
    reduced = [int(axis.dom.extent) for axis in block.iter_vars if axis.iter_type == REDUCE]
    ragged = function.default.rule == "pointwise"
    rows = math.prod(spatial[:-1]) if ragged else spatial[-2]
    bits = int(DataType(str(block.writes[0].source.dtype)).bits)
    return _Shape(rows, spatial[-1], reduced[0] if reduced else 1, bits, ragged)
