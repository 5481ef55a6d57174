"""The choice of a rule for a function: the seam at which tuning and other rules come in."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ofa_edge.export.tvm.schedules import elementwise, pointwise, pooling, rowwise, window
from ofa_edge.export.tvm.schedules.curves import with_curves
from ofa_edge.export.tvm.schedules.isa import Isa, isa_of
from ofa_edge.export.tvm.schedules.joins import with_whole_vectors
from ofa_edge.export.tvm.schedules.knobs import Knobs, default_knobs
from ofa_edge.export.tvm.schedules.narrowing import narrowed
from ofa_edge.export.tvm.schedules.nest import Nest, NotCoveredError, bits_of, is_padded, open_nest, reads_of

FALLBACK = "default"


@dataclass(frozen=True)
class Scheduled:
    """What became of one function.

    Attributes:
        func: the scheduled `tvm.tirx.PrimFunc`; None where no rule takes it.
        rule: which rule, or "default".
        why: why no rule; empty where one did.
        packed: (parameter, panel) where its weights are to be laid out by `packing.pack_array`; or None.
    """

    func: Any | None
    rule: str
    why: str = ""
    packed: tuple[int, int] | None = None


def schedule(func: Any, target: Any, knobs: Knobs | None = None, constants: Collection[int] = ()) -> Scheduled:
    """Give a function the schedule of the first rule that takes it.

    Whatever goes wrong in a rule is an answer, not an error: the function keeps TVM's default, and the answer says why.

    Args:
        func: a `PrimFunc` after fusion, not scheduled.
        target: LLVM target of a CPU.
        knobs: choices for this function; the instruction set's defaults where None.
        constants: parameters that are constants at every call, so that their layout may change.
    """
    from tvm import s_tir

    isa = isa_of(target)
    chosen = knobs or default_knobs(isa)
    try:
        trace = s_tir.Schedule(with_whole_vectors(func, isa.lanes()).with_attr("global_symbol", "main"))
        rule, packed = _apply(func, trace, isa, chosen, constants)
        made = trace.mod["main"]
    except NotCoveredError as error:
        return Scheduled(None, FALLBACK, str(error))
    except Exception as error:  # TVM raises many types, and no shape may break a build
        return Scheduled(None, FALLBACK, f"{type(error).__name__}: {_reason(error)}")
    made = narrowed(with_curves(made.with_attr("tirx.is_scheduled", True)))
    symbol = func.attrs.get("global_symbol") if func.attrs else None
    made = made.with_attr("global_symbol", symbol) if symbol else made.without_attr("global_symbol")
    return Scheduled(made, rule, packed=packed)


def workload_key(func: Any) -> str:
    """A digest of what a function computes: equal for equal functions of different networks, whatever their names."""
    import tvm_ffi

    plain = func.without_attr("global_symbol") if func.attrs and "global_symbol" in func.attrs else func
    return hashlib.sha256(str(tvm_ffi.structural_hash(plain)).encode()).hexdigest()[:16]


def _reason(error: Exception) -> str:
    """What an error says in one line; a failed schedule primitive prints the whole function after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("Error message")), lines[0] if lines else "no message")
    return told[:200]


def _apply(
    func: Any, trace: Any, isa: Isa, knobs: Knobs, constants: Collection[int]
) -> tuple[str, tuple[int, int] | None]:
    if rowwise.is_rowwise(trace):
        rowwise.schedule_rowwise(trace, isa, knobs)
        return rowwise.NAME, None
    nest = open_nest(func, trace)
    if nest is None:
        elementwise.schedule_elementwise(trace, isa, knobs)
        return elementwise.NAME, None
    bits = bits_of(trace, nest.reduction)
    reads = reads_of(nest)
    weight = reads.weight if reads.weight in constants else None
    panel = None
    if reads.kind == "pool":
        rule = pooling.NAME
        pooling.schedule_pooling(nest, isa, knobs, bits)
    elif reads.kind == "depthwise":
        rule = window.DEPTHWISE
        window.schedule_depthwise(nest, isa, knobs, bits)
    elif reads.kind == "batched":
        rule = pointwise.BATCHED
        pointwise.schedule_pointwise(nest, None, isa, knobs, bits, reads.groups)
    elif reads.kind == "dense" and _is_pointwise(nest):
        rule = pointwise.NAME
        panel = pointwise.schedule_pointwise(nest, weight, isa, knobs, bits)
    else:
        rule = window.GROUPED if reads.kind == "grouped" else window.DENSE
        panel = window.schedule_dense(nest, weight, isa, knobs, bits, reads.groups)
    if nest.tail is not None:
        elementwise.schedule_block(trace, nest.tail, isa, knobs)
    return rule, None if panel is None or weight is None else (weight, panel)


def _is_pointwise(nest: Nest) -> bool:
    axes = nest.schedule.get(nest.reduction).iter_vars
    reduced = [int(axis.dom.extent) for axis in axes if axis.iter_type == 2]
    return sum(size > 1 for size in reduced) <= 1 and not is_padded(nest)
