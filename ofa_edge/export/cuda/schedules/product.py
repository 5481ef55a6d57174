"""Pointwise and dense convolutions: a matrix product in tiles of shared memory."""

from dataclasses import dataclass
from typing import Any

from ofa_edge.export.cuda.schedules.nest import Nest, ceil_div

_DEPTHS = (16, 8)  # terms of the sum that a tile holds; channels are multiples of 8
_APART = 4  # words between rows of A in shared memory, beyond their length: two rows must not share their banks
_WARP, _WARPS = 32, 16  # threads a warp; warps that keep a multiprocessor's four schedulers busy


@dataclass(frozen=True)
class Tile:
    """A block's share of the product: `rows` pixels by `columns` output channels, a thread's `each` of both.

    Attributes:
        threads_y: threads along pixels.
        threads_x: threads along channels.
        each_y: pixels a thread.
        each_x: channels a thread.
    """

    threads_y: int
    threads_x: int
    each_y: int
    each_x: int

    @property
    def threads(self) -> int:
        """Threads a block."""
        return self.threads_y * self.threads_x

    @property
    def rows(self) -> int:
        """Pixels a block."""
        return self.threads_y * self.each_y

    @property
    def columns(self) -> int:
        """Channels a block."""
        return self.threads_x * self.each_x


_TILES = tuple(
    Tile(ty, tx, ey, ex)
    for ty in (4, 7, 8, 16)
    for tx in (4, 8, 16, 32)
    for ey in (1, 2, 4, 7, 8)
    for ex in (1, 2, 4)
    if 64 <= ty * tx <= 256 and ey * ex <= 32
)


def schedule(nest: Nest, processors: int) -> Any | None:
    """Take a convolution of any kernel, or a matrix product, with more than one row.

    Given
        y[n, y, x, c] = sum over ry, rx, rc of pad(x)[n, y*s + ry, x*s + rx, rc] * w[ry, rx, rc, c]
    Result
        C[m, c] = sum over k of A[m, k] * B[k, c], m over pixels and k over (ry, rx, rc); a block computes a tile of C
        and keeps the tiles of A and B that it needs in shared memory, a thread a small tile in registers.
    """
    from tvm.s_tir.dlight.gpu.matmul import auto_inline_consumer_chain, auto_inline_producers, get_index_map

    sch, main = nest.sch, nest.main
    if nest.broadcasts or len(sch.get(main).reads) != 2 or get_index_map(sch.get(main)) is None:
        return None
    parts = [sch.reindex(main, where) for where in (("read", 0), ("read", 1), ("write", 0))]
    whole, *maps = get_index_map(sch.get(main))
    for part, side, layout in zip(parts, ("write", "write", "read"), maps, strict=True):
        sch.transform_layout(part, (side, 0), layout)
    sch.transform_block_layout(main, whole)
    _, rows, columns, terms = (int(axis.dom.extent) for axis in sch.get(main).iter_vars)
    if rows < 2:
        return None
    tile, depth = choose(rows, columns, processors), next((d for d in _DEPTHS if terms % d == 0), _DEPTHS[-1])
    sch.transform_layout(parts[1], ("write", 0), lambda batch, column, term: (batch, term, column))
    sch.pad_einsum(main, [1, tile.rows, tile.columns, depth])
    batch, m, c, k = sch.get_loops(main)
    m_block, m_thread, m_each = sch.split(m, [None, tile.threads_y, tile.each_y])
    c_block, c_thread, c_each = sch.split(c, [None, tile.threads_x, tile.each_x])
    k_block, k_each = sch.split(k, [None, depth])
    sch.reorder(m_block, c_block, m_thread, c_thread, k_block, k_each, m_each, c_each)
    sch.bind(sch.fuse(batch, m_block), "blockIdx.y")
    for loop, axis in ((c_block, "blockIdx.x"), (m_thread, "threadIdx.y"), (c_thread, "threadIdx.x")):
        sch.bind(loop, axis)
    sums = sch.cache_write(main, 0, "local")
    sch.reverse_compute_at(sums, c_thread, preserve_unit_loops=True)
    fetches = [_fetch(sch, main, index, k_block, tile) for index in range(2)]
    sch.storage_align(fetches[0], 0, -2, depth, _APART)
    for fetch in fetches:
        auto_inline_producers(sch, fetch)
    auto_inline_consumer_chain(sch, sums)
    for loop in (k_each, m_each, c_each, *sch.get_loops(sums)[-2:]):
        sch.unroll(loop)
    start = sch.decompose_reduction(main, k_block)
    for loop in sch.get_loops(start)[-2:]:
        sch.unroll(loop)
    return sch


def choose(rows: int, columns: int, processors: int) -> Tile:
    """The tile of the least estimated work. An estimate: no GPU was asked.

    Work counts what the blocks compute, overhanging parts included, and reads from shared memory, each weighed by how
    well the blocks fill `processors` multiprocessors.
    """

    def work(tile: Tile) -> float:
        down, across = ceil_div(rows, tile.rows), ceil_div(columns, tile.columns)
        products = down * tile.rows * across * tile.columns
        reads = products * (1 / tile.each_y + 1 / tile.each_x)
        fetches = products * 4 * (1 / tile.rows + 1 / tile.columns)
        warps = down * across * ceil_div(tile.threads, _WARP)
        return (products + reads + fetches) / min(1.0, warps / (_WARPS * processors))

    return min(_TILES, key=work)


def _fetch(sch: Any, main: Any, index: int, at: Any, tile: Tile) -> Any:
    """All threads of a block bring one operand's tile into shared memory."""
    block = sch.cache_read(main, index, "shared")
    depth = len(sch.get_loops(block))
    sch.compute_at(block, at, preserve_unit_loops=True)
    loop = sch.fuse(*sch.get_loops(block)[-depth:])
    _, y, x = sch.split(loop, [None, tile.threads_y, tile.threads_x])
    sch.bind(y, "threadIdx.y")
    sch.bind(x, "threadIdx.x")
    return block
