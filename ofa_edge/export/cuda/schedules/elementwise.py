"""Functions without a sum: residuals that did not fuse, layout changes, casts."""

import math
from typing import Any

from ofa_edge.export.cuda.schedules.nest import Nest, ceil_div, extents

_THREADS, _WARP = 128, 32
_LANES = (4, 2, 1)


def schedule(nest: Nest) -> Any | None:
    """Take a function without a reduction: one block of loops, neighbours to neighbouring threads."""
    if nest.main is not None:
        return None
    sch, last = nest.sch, nest.after[-1]
    for block in nest.after[:-1]:
        sch.compute_inline(block)
    total = math.prod(extents(sch, last)[0])
    lanes = next(width for width in _LANES if total % width == 0) if _is_pointwise(sch, last) else 1
    threads = min(_THREADS, ceil_div(total // lanes, _WARP) * _WARP)
    block, thread, lane = sch.split(sch.fuse(*sch.get_loops(last)), [None, threads, lanes])
    sch.bind(block, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    if lanes > 1:
        sch.vectorize(lane)
    return sch


def _is_pointwise(sch: Any, block: Any) -> bool:
    """Whether every operand is read at the very index that is written."""
    import tvm_ffi

    stmt = sch.get(block)
    (write,) = stmt.writes
    wanted = [part.min for part in write.region]
    return all(
        len(read.region) == len(wanted)
        and all(tvm_ffi.structural_equal(part.min, want) for part, want in zip(read.region, wanted, strict=True))
        for read in stmt.reads
    )
