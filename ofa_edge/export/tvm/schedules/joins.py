"""Joined channels asked for by vectors: TVM looks at each value of a vector to see which operand it comes from.

Given operands whose channels are multiples of a vector's
    y[c] = a[c - 64] if 64 <= c else b[c]
Result, whose condition is the same for a whole vector
    y[c] = a[c - 64] if 64 <= c // 8 * 8 else b[c]
"""

from typing import Any

from ofa_edge.export.tvm.schedules.nest import CHOICE, blocks_of


def with_whole_vectors(func: Any, lanes: int) -> Any:
    """A function whose joins along the last axis choose by vectors; itself where there are none."""
    import tvm_ffi
    from tvm import ir, s_tir, tirx

    trace = s_tir.Schedule(func.with_attr("global_symbol", "main"))
    last = [axis for block in blocks_of(trace) for axis in trace.get(block).iter_vars[-1:]]
    channels = [axis.var for axis in last if int(axis.dom.extent) % lanes == 0]

    def chosen(call: Any) -> Any:
        if getattr(call.op, "name", "") != CHOICE:
            return call
        condition = call.args[0]
        if not isinstance(condition, tirx.LE) or not any(condition.b.same_as(each) for each in channels):
            return call
        if int(getattr(condition.a, "value", 1)) % lanes:
            return call
        whole = condition.a <= tirx.floordiv(condition.b, lanes) * lanes
        return tirx.if_then_else(whole, call.args[1], call.args[2])

    body = tvm_ffi.structural_map(func.body, (ir.Call, chosen)) if channels else func.body
    return func if body.same_as(func.body) else func.with_body(body)
