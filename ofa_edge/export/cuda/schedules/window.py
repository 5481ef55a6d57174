"""Depthwise convolutions, first convolutions and pooling: one thread for a strip of pixels of one channel."""

from typing import Any

from ofa_edge.export.cuda.schedules.nest import Nest, ceil_div, close, extent, inline_before

THREADS = 128
_STRIP = range(1, 9)  # pixels a thread
_FEW_CHANNELS = 4  # of a first convolution's input: too few for a matrix product's tiles
_ENOUGH_THREADS = 4096  # two waves of a Jetson Nano's one multiprocessor, a third of one of an Orin Nano's eight
_UNROLLED_ROWS = 5


def schedule(nest: Nest) -> Any | None:
    """Take a convolution whose sum runs over one input channel or a few, or a window of a pooling.

    Given
        y[n, y, x, c] = sum over ry, rx, rc of pad(x)[n, y*s + ry, x*s + rx, rc or c] * w[ry, rx, rc, c]
    Result
        threads run over channels first, so that neighbours read neighbours (NHWC); each computes a strip of pixels
        of one row, for which it reads each row of its input once into registers and each weight once.
    """
    rows_and_columns = len(nest.spatial) == 4 and len(nest.reduced) in (2, 3)
    if not rows_and_columns or nest.terms == 1 or (nest.is_window and nest.reduced[2] > _FEW_CHANNELS):
        return None
    if nest.broadcasts or nest.reduced[0] * nest.reduced[1] == 1 or nest.spatial[1] * nest.spatial[2] == 1:
        return None
    sch, padded = nest.sch, nest.is_window and bool(nest.before)
    last = close(nest)
    inline_before(nest, keep_last=padded)
    n, y, x, c, ry, *inner = sch.get_loops(nest.main)
    outer, strip = sch.split(x, [None, strip_length(nest) if nest.is_window else 1])
    sch.reorder(n, y, outer, c, ry, *inner, strip)
    block, thread = sch.split(sch.fuse(n, y, outer, c), [None, THREADS])
    sch.bind(block, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    sch.reverse_compute_at(last, thread)
    for loop in sch.get_loops(last)[2:]:
        sch.unroll(loop)
    if padded:
        _read_rows(sch, nest.before[-1], ry)
    for loop in (*inner, strip):
        sch.unroll(loop)
    if extent(sch, ry) <= _UNROLLED_ROWS:
        sch.unroll(ry)
    start = sch.decompose_reduction(nest.main, ry)
    for loop in sch.get_loops(start)[2:]:
        sch.unroll(loop)
    return sch


def strip_length(nest: Nest) -> int:
    """Pixels a thread: as many as share loads, as long as enough threads stay and few of them overhang the row."""
    _, height, width, channels = nest.spatial
    taps = nest.reduced[1]

    def worth(length: int) -> float:
        strips = ceil_div(width, length)
        work = length * taps / (length + 2 * taps - 1)  # products for each value read
        threads = height * strips * channels
        return work * (width / (strips * length)) * min(1.0, threads / _ENOUGH_THREADS)

    return max((length for length in _STRIP if length <= width), key=worth)


def _read_rows(sch: Any, pad: Any, row: Any) -> None:
    """Keep one padded row of a thread's input in registers."""
    depth = len(sch.get_loops(pad))
    sch.set_scope(pad, 0, "local")
    sch.compute_at(pad, row, preserve_unit_loops=True)
    for loop in sch.get_loops(pad)[-depth:]:
        sch.unroll(loop)
