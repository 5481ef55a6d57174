"""The parts of a fused function, found once for all rules: its reduction, what feeds it and what follows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CHOICE = "prim.if_then_else"
REDUCE = 2  # tvm.tirx.IterVar.CommReduce


class NotCoveredError(Exception):
    """No rule takes a function; the message says why."""


@dataclass(frozen=True)
class Nest:
    """A schedule with its blocks sorted and its elementwise chains joined.

    Attributes:
        schedule: a `tvm.s_tir.Schedule`.
        pads: blocks that feed the reduction, in order.
        reduction: the one block that sums or compares; its result has scope "local".
        epilogue: what is done to each of its results: bias, activation, residual. Always there (a copy at least).
        tail: what follows over more elements than the reduction gives, such as a gate's multiplication; or None.
        params: the function's parameters; a buffer is a variable.
    """

    schedule: Any
    pads: tuple[Any, ...]
    reduction: Any
    epilogue: Any
    tail: Any | None
    params: tuple[Any, ...]


def blocks_of(schedule: Any) -> list[Any]:
    """The blocks of a function, in order."""
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def is_reduction(schedule: Any, block: Any) -> bool:
    """Whether a block has an axis that its result has not."""
    return any(axis.iter_type == REDUCE for axis in schedule.get(block).iter_vars)


def extents(schedule: Any, loops: Iterable[Any]) -> list[int]:
    """Lengths of loops."""
    return [int(schedule.get(loop).extent) for loop in loops]


def bits_of(schedule: Any, block: Any) -> int:
    """Of one value that a block writes; 8 at least."""
    from tvm.runtime import DataType

    return max(8, int(DataType(str(schedule.get(block).writes[0].source.dtype)).bits))


def elements(schedule: Any, block: Any) -> int:
    """How many values a block writes."""
    return math.prod(int(axis.dom.extent) for axis in schedule.get(block).iter_vars if axis.iter_type != REDUCE)


def open_nest(func: Any, schedule: Any) -> Nest | None:
    """Sort a function's blocks, and inline each elementwise one into the next; None where nothing is reduced.

    Raises:
        NotCoveredError: several reductions.
    """
    blocks = blocks_of(schedule)
    reductions = [index for index, block in enumerate(blocks) if is_reduction(schedule, block)]
    if not reductions:
        return None
    if len(reductions) > 1:
        raise NotCoveredError(f"{len(reductions)} reductions")
    index = reductions[0]
    pads, reduction, following = tuple(blocks[:index]), blocks[index], blocks[index + 1 :]
    size = elements(schedule, reduction)
    wider = next((i for i, block in enumerate(following) if elements(schedule, block) != size), len(following))
    same, tail = following[:wider], following[wider:]
    for chain in (same, tail):
        for block in chain[:-1]:
            schedule.compute_inline(block)
    if same:
        schedule.set_scope(reduction, 0, "local")
        epilogue = same[-1]
    else:
        epilogue = schedule.cache_write(reduction, 0, "local")
    return Nest(schedule, pads, reduction, epilogue, tail[-1] if tail else None, tuple(func.params))


@dataclass(frozen=True)
class Reads:
    """What one term of a reduction reads.

    Attributes:
        kind: "dense" (data times weights, summed over input channels too), "grouped" (over those of a group),
            "depthwise" (each channel by itself), "batched" (a product of many pairs of matrices), or "pool" (one
            operand).
        weight: index of the weights among the function's parameters, or None.
        groups: of channels; pairs of matrices.
    """

    kind: str
    weight: int | None
    groups: int = 1


def reads_of(nest: Nest) -> Reads:
    """Recognise a reduction by what it reads, not by its name: output channels last, weights [..., output channels].

    Raises:
        NotCoveredError: another layout or another operation.
    """
    from tvm import tirx

    block = nest.schedule.get(nest.reduction)
    body = block.body
    if not isinstance(body, tirx.BufferStore):
        raise NotCoveredError("more than one statement in the reduction")
    channel = body.indices[-1]
    if not any(channel.same_as(axis.var) for axis in block.iter_vars if axis.iter_type != REDUCE):
        raise NotCoveredError("its last axis is no channel axis")
    if len(block.reads) == 1:
        if not depends(_index(block.reads[0], -1), [channel]):
            raise NotCoveredError("it reduces its innermost axis")
        return Reads("pool", None)
    if len(block.reads) != 2 or not (isinstance(body.value, tirx.Add) and isinstance(body.value.b, tirx.Mul)):
        raise NotCoveredError("no sum of products")
    pixels = [axis.var for axis in block.iter_vars if axis.iter_type != REDUCE and not axis.var.same_as(channel)]
    for region, other in (block.reads, block.reads[::-1]):
        leading = [_index(region, axis) for axis in range(len(region.region) - 1)]
        if _index(region, -1).same_as(channel) and not any(depends(index, [channel, *pixels]) for index in leading):
            weight = next((i for i, buffer in enumerate(nest.params) if buffer.same_as(region.source)), None)
            indices = (_index(other, axis) for axis in range(len(other.region)))
            if not any(depends(index, [channel]) for index in indices):
                return Reads("dense", weight)
            depth = int(block.iter_vars[-1].dom.extent)
            groups = int(other.source.shape[-1]) // depth
            return Reads("depthwise" if depth == 1 else "grouped", weight, groups)
        matrices = _matrices(block, region, other)
        if matrices is not None and _index(region, -1).same_as(channel):
            return Reads("batched", None, matrices)
    raise NotCoveredError("its weights do not lie [..., output channels]")


def _matrices(block: Any, second: Any, first: Any) -> int | None:
    """How many products a[.., m, k] * b[.., k, n] a block sums over k; None where it is none."""
    given = [axis for axis in block.iter_vars if axis.iter_type != REDUCE]
    reduced = [axis for axis in block.iter_vars if axis.iter_type == REDUCE]
    if len(reduced) != 1 or len(given) < 3 or len(first.region) != len(second.region):
        return None
    *batch, row, _ = (axis.var for axis in given)
    wanted = ([*batch, row, reduced[0].var], [*batch, reduced[0].var, given[-1].var])
    for region, axes in zip((first, second), wanted, strict=True):
        found = [_index(region, place) for place in range(len(region.region))]
        if len(found) != len(axes) or not all(_is(index, axis) for index, axis in zip(found, axes, strict=True)):
            return None
    return math.prod(int(axis.dom.extent) for axis in given[:-2])


def _is(index: Any, axis: Any) -> bool:
    return bool(index.same_as(axis)) or getattr(index, "value", None) == 0  # an axis of one


def is_padded(nest: Nest) -> bool:
    """Whether a block before the reduction puts in values that are not in its input."""
    from tvm import ir, tirx

    bodies = (nest.schedule.get(block).body for block in nest.pads)
    values = (body.value for body in bodies if isinstance(body, tirx.BufferStore))
    return any(isinstance(value, ir.Call) and value.op.name == CHOICE for value in values)


def _index(region: Any, axis: int) -> Any:
    return region.region[axis].min


def depends(index: Any, variables: Iterable[Any]) -> bool:
    """Whether an index has one of some variables in it."""
    from tvm.tirx.analysis import undefined_vars

    used = undefined_vars(index)
    return any(variable.same_as(var) for variable in variables for var in used)
