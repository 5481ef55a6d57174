"""Sums with few outputs: squeeze-and-excite on 1x1 maps, classifiers, global pooling."""

from typing import Any

from ofa_edge.export.cuda.schedules.nest import Nest, ceil_div, close, inline_before

_LANES = (8, 16, 32)  # outputs a block; a warp that reads 32 neighbours reads fastest
_PARTS = (16, 8, 4, 2)  # threads that share one sum
_MOST_OUTPUTS = 8192  # more fill a GPU without sharing sums
_PIXELS = 64  # of a gated map that a block writes


def schedule(nest: Nest) -> Any | None:
    """Take a sum with one row of outputs: a matrix times a vector, or a mean over rows and columns.

    Given
        y[c] = sum over k of x[k] * w[k, c], or of x[k, c]
    Result
        a block computes up to 32 neighbouring outputs; its threads' second axis shares each sum.
    """
    if nest.main is None or nest.outputs > _MOST_OUTPUTS or nest.outputs != nest.spatial[-1]:
        return None
    if nest.broadcasts:
        return _gate(nest)
    sch = nest.sch
    last = close(nest)
    inline_before(nest)
    loops = sch.get_loops(nest.main)
    outputs, terms = sch.fuse(*loops[: len(nest.spatial)]), sch.fuse(*loops[len(nest.spatial) :])
    block, lane = sch.split(outputs, [None, _lanes(nest.outputs)])
    _share(sch, terms, nest.terms)
    sch.bind(block, "blockIdx.x")
    sch.bind(lane, "threadIdx.x")
    sch.reverse_compute_at(last, block)
    sch.bind(sch.fuse(*sch.get_loops(last)[1:]), "threadIdx.x")
    return sch


def _gate(nest: Nest) -> Any | None:
    """A gate and the map that it scales, in one kernel.

    Given
        g[c] = f(sum over k of x[k] * w[k, c]);  y[p, c] = g[c] * z[p, c]
    Result
        a block computes the sums of up to 32 channels, each thread keeps its own, and writes them for some pixels.
    """
    sch = nest.sch
    last = close(nest)
    inline_before(nest)
    *pixels, channels = sch.get_loops(last)
    pixel, parts = sch.fuse(*pixels), _parts(nest.terms)
    each = ceil_div(min(_PIXELS, max(parts, int(sch.get(pixel).extent))), parts)
    y, inner, shared = sch.split(pixel, [None, each, parts])
    block, lane = sch.split(channels, [None, _lanes(nest.outputs)])
    sch.reorder(y, block, shared, lane, inner)
    for loop, axis in ((y, "blockIdx.y"), (block, "blockIdx.x"), (shared, "threadIdx.y"), (lane, "threadIdx.x")):
        sch.bind(loop, axis)
    sch.compute_at(nest.main, block, preserve_unit_loops=True)
    loops = sch.get_loops(nest.main)[2:]
    outputs, terms = sch.fuse(*loops[: len(nest.spatial)]), sch.fuse(*loops[len(nest.spatial) :])
    _share(sch, terms, nest.terms)
    sch.bind(outputs, "threadIdx.x")
    return sch


def _share(sch: Any, terms: Any, count: int) -> None:
    if _parts(count) > 1:
        _, part = sch.split(terms, [None, _parts(count)])
        sch.bind(part, "threadIdx.y")


def _lanes(outputs: int) -> int:
    return next((lanes for lanes in _LANES if outputs <= lanes), _LANES[-1])


def _parts(terms: int) -> int:
    return next((parts for parts in _PARTS if terms >= 2 * parts), 1)
