"""What a rule needs to know of a fused function: the one reduction inside, what comes before and after it, extents."""

import math
from dataclasses import dataclass
from typing import Any

_REDUCTION = 2  # tirx.IterVar's kind of a reduction axis


@dataclass(frozen=True)
class Nest:
    """A fused function, opened for scheduling. The blocks and loops are handles of `sch` and live as long as it does.

    Attributes:
        sch: TVM's schedule of the function.
        before: blocks ahead of the reduction, in order: padding, casts.
        main: the reduction; None for an elementwise function.
        after: blocks behind it, in order: bias, activation, residual. All blocks of an elementwise function.
        spatial: extents of the reduction's output axes; of the last block's where there is no reduction.
        reduced: extents of the axes summed over.
    """

    sch: Any
    before: tuple[Any, ...]
    main: Any
    after: tuple[Any, ...]
    spatial: tuple[int, ...]
    reduced: tuple[int, ...]

    @property
    def outputs(self) -> int:
        """Elements that the reduction writes."""
        return math.prod(self.spatial)

    @property
    def terms(self) -> int:
        """Terms of each sum."""
        return math.prod(self.reduced)

    @property
    def is_window(self) -> bool:
        """A convolution over rows, columns and channels: n, y, x, c and ry, rx, rc."""
        return len(self.spatial) == 4 and len(self.reduced) == 3

    @property
    def broadcasts(self) -> bool:
        """Whether the last block writes more than the reduction does: a gate times its map."""
        return bool(self.after) and math.prod(extents(self.sch, self.after[-1])[0]) != self.outputs


def read_nest(function: Any) -> Nest | None:
    """Open a function; None where it has two reductions, an extent that is not known, or something else than blocks."""
    from tvm import s_tir

    sch = s_tir.Schedule(function, error_render_level="none")  # refusals are frequent, their text is slow
    try:
        blocks = tuple(sch.get_child_blocks(sch.get_sblock("root")))
        sizes = [extents(sch, block) for block in blocks]
    except (ValueError, TypeError, RuntimeError):
        return None
    sums = [index for index, (_, reduced) in enumerate(sizes) if reduced]
    if len(sums) > 1 or not blocks:
        return None
    if not sums:
        return Nest(sch, (), None, blocks, sizes[-1][0], ())
    at = sums[0]
    return Nest(sch, blocks[:at], blocks[at], blocks[at + 1 :], *sizes[at])


def extents(sch: Any, block: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Extents of a block's output axes and of its reduction axes. Raises TypeError for one that is not a constant."""
    axes = sch.get(block).iter_vars
    spatial = tuple(int(axis.dom.extent) for axis in axes if axis.iter_type != _REDUCTION)
    return spatial, tuple(int(axis.dom.extent) for axis in axes if axis.iter_type == _REDUCTION)


def inline_before(nest: Nest, keep_last: bool = False) -> None:
    """Compute padding and casts where they are read."""
    for block in nest.before[:-1] if keep_last else nest.before:
        nest.sch.compute_inline(block)


def close(nest: Nest, scope: str = "local") -> Any:
    """Fold all that follows the reduction into one block that reads its sum from `scope`; return that block."""
    sch = nest.sch
    for block in nest.after[:-1]:
        sch.compute_inline(block)
    if not nest.after:
        return sch.cache_write(nest.main, 0, scope)
    sch.set_scope(nest.main, 0, scope)
    return nest.after[-1]


def extent(sch: Any, loop: Any) -> int:
    """How often a loop runs."""
    return int(sch.get(loop).extent)


def ceil_div(a: int, b: int) -> int:
    """Quotient, rounded up."""
    return -(-a // b)
