"""Tiles that fit into registers, and loops that every rule needs: vectors, the first value, what follows, threads."""

import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.narrowing import PEELED
from ofa_edge.export.tvm.schedules.nest import Nest, extents
from ofa_edge.export.tvm.schedules.stack import STACK_BYTES

_LAST_TILE = 1.5  # what a tile costs that asks of each row whether it is there
_CUT_TILE = 2.5  # and of each channel, whose vectors then fall apart
_EVEN = 1.05  # time of the slowest thread over that of equal shares
_CHAINS = 8  # independent sums that hide a multiply-add's latency: 4 cycles, two a cycle


@dataclass(frozen=True)
class Tile:
    """Pixels by channels, held in registers.

    Attributes:
        rows: pixels.
        vectors: vectors of channels.
        lanes: channels of one vector, which has a register of its own and need not fill it.
    """

    rows: int
    vectors: int
    lanes: int


def divisors(number: int, most: int) -> list[int]:
    """Divisors up to `most`."""
    return [each for each in range(1, min(number, most) + 1) if number % each == 0]


def vector_of(channels: int, lanes: int) -> int:
    """The widest power of two, up to `lanes`, that divides `channels`."""
    while lanes > 1 and channels % lanes:
        lanes //= 2
    return lanes


def best_tile(
    rows: int,
    channels: int,
    widths: Sequence[int],
    limits: tuple[int, int],
    fits: Callable[[Tile], float | None],
    *,
    ragged: bool = False,
    cut: bool = False,
) -> Tile:
    """The tile of highest score; `fits` gives None where registers do not suffice.

    Args:
        rows: pixels, which the tile must divide.
        channels: output channels, which it must divide too.
        widths: of vectors, each a divisor of `channels`.
        limits: most rows and most vectors.
        fits: the score of a tile.
        ragged: whether the last tile may have fewer rows (`peel_last`), which lowers the score.
        cut: whether it may have fewer channels, which lowers it more.
    """
    heights = range(1, min(rows, limits[0]) + 1) if ragged else divisors(rows, limits[0])
    best = Tile(1, 1, max(widths))
    best_score = -1.0
    for width in widths:
        counts = divisors(channels // width, limits[1]) if channels % width == 0 else []
        for vectors in range(1, min(limits[1], channels // width) + 1) if cut else counts:
            for height in heights:
                tile = Tile(height, vectors, width)
                score = fits(tile)
                if score is not None:
                    score *= _even(rows, height, _LAST_TILE) * _even(channels, vectors * width, _CUT_TILE)
                if score is not None and score > best_score + 1e-9:
                    best, best_score = tile, score
    return best


def _even(size: int, part: int, last: float) -> float:
    """Whole parts over what all of them cost, the last one included."""
    return 1.0 if size % part == 0 else size / part / (size // part + last)


def on_stack(tile: Tile, bits: int) -> bool:
    """Whether TVM keeps the tile's sums on the stack, from which LLVM lifts them into registers."""
    return tile.rows * tile.vectors * tile.lanes * bits // 8 <= STACK_BYTES


def filled(tile: Tile, lanes: int) -> float:
    """Share of the arithmetic unit that a tile keeps busy: too few sums wait, half-empty registers waste."""
    return min(1.0, tile.rows * tile.vectors / _CHAINS) * tile.lanes / lanes


def peel_last(schedule: Any, loop: Any) -> None:
    """Have a loop's last turn compiled by itself: there alone it is asked of each row whether it is there."""
    schedule.annotate(loop, PEELED, 1)


def vectorize_last(schedule: Any, loops: Sequence[Any], width: int) -> list[Any]:
    """Split the last loop into vectors; return the loops that stay, the last being over vectors."""
    outer, inner = schedule.split(loops[-1], [None, width])
    schedule.vectorize(inner)
    return [*loops[:-1], outer]


def unroll(schedule: Any, loops: Iterable[Any]) -> None:
    """Unroll loops."""
    for loop in loops:
        schedule.unroll(loop)


def finish_tile(nest: Nest, anchor: Any, first: Any, depth: int, width: int) -> None:
    """Start each sum at `first`, and finish the tile at `anchor`: epilogue in vectors, everything unrolled.

    Args:
        nest: the function, tiled.
        anchor: the innermost loop over tiles.
        first: the outermost loop of the sum.
        depth: number of loops down to `anchor`.
        width: channels of one vector.
    """
    schedule = nest.schedule
    schedule.reverse_compute_at(nest.epilogue, anchor)
    inner = schedule.get_loops(nest.epilogue)[depth:]
    if inner:  # a tile of one value has no loops left
        unroll(schedule, vectorize_last(schedule, inner, width))
    start = schedule.get_loops(schedule.decompose_reduction(nest.reduction, first))[depth:]
    if start:
        schedule.vectorize(start[-1])
        unroll(schedule, start[:-1])


def threads_of(isa: Isa, work: int, knobs: Knobs) -> int:
    """How many threads share a function: all, or one where its work is too little (see `spread`)."""
    return isa.threads if work >= knobs.parallel_work else 1


def spread(schedule: Any, loops: Sequence[Any], isa: Isa, work: int, knobs: Knobs) -> tuple[Any, int]:
    """Let threads share outer loops, as few as give all of them alike much; none where one thread will do.

    Loops that stay need no division to tell where they are, and a thread's slice stays in one piece of the map, which
    it reads again in the next function.

    Args:
        schedule: of the function.
        loops: outermost first, directly within each other.
        isa: how many threads.
        work: multiply-adds of the function, or as much in other operations.
        knobs: how little is too little.

    Returns:
        The innermost loop, to which inner blocks can be attached, and how many loops lead to it.
    """
    threads = threads_of(isa, work, knobs)
    if threads == 1:
        return loops[-1], len(loops)
    count = _shared(extents(schedule, loops), threads)
    fused = schedule.fuse(*loops[:count]) if count > 1 else loops[0]
    if extents(schedule, [fused])[0] > 1:
        schedule.parallel(fused)
    rest = loops[count:]
    return (rest[-1] if rest else fused), 1 + len(rest)


def _shared(sizes: Sequence[int], threads: int) -> int:
    """How many outer loops threads share: the fewest whose turns leave hardly a thread waiting, else the evenest."""
    turns = list(itertools.accumulate(sizes, operator.mul))
    waits = [-(-count // threads) * threads / count for count in turns]
    even = next((place for place, wait in enumerate(waits) if wait <= _EVEN), None)
    return 1 + (waits.index(min(waits)) if even is None else even)
