"""The rules as a step of compilation: fuse, schedule each function, lay its weights out, lower."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ofa_edge.export.tvm.relax import said
from ofa_edge.export.tvm.schedules.curves import with_curves
from ofa_edge.export.tvm.schedules.facts import FunctionFacts, ScheduleFacts
from ofa_edge.export.tvm.schedules.isa import isa_of
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.layout import prepare
from ofa_edge.export.tvm.schedules.packing import pack_array
from ofa_edge.export.tvm.schedules.rules import FALLBACK, Scheduled, schedule, workload_key
from ofa_edge.export.tvm.schedules.stack import tir_pipeline

_PACKED = "_packed"
Chooser = Callable[[str], Knobs | None]
"""From a function's `workload_key` to its knobs; None for the defaults."""


def defaults(key: str) -> Knobs | None:
    """The chooser that knows no function."""
    del key
    return None


def fuse(module: Any, target: Any) -> tuple[Any, str]:
    """A Relax module as calls of fused functions, channels last where a rule says how.

    Returns:
        The module, and its layout: "NHWC", or why it stayed as it was.
    """
    from tvm import ir
    from tvm.relax import transform
    from tvm.relax.backend.cpu_generic import pipeline

    layout = "NHWC"
    with target:
        try:
            module = prepare(module, isa_of(target))
        except Exception as error:  # TVM raises many types; the network as it came is right, only slower
            layout = f"as given: {type(error).__name__}: {said(error)[:200]}"
        steps = [
            *pipeline.library_dispatch_passes(target),
            *pipeline.legalize_passes(target),
            transform.DeadCodeElimination(),
        ]
        return ir.transform.Sequential(steps)(module), layout


def schedule_module(
    module: Any, target: Any, chooser: Chooser = defaults, refused: Mapping[str, str] = MappingProxyType({})
) -> tuple[Any, tuple[FunctionFacts, ...]]:
    """Schedule every function of a fused module, and lay out the weights as their functions now want them.

    Args:
        module: of `fuse`.
        target: LLVM target of a CPU.
        chooser: the knobs of each function.
        refused: why not to schedule a function, by its name in the library.

    Returns:
        The module, and what became of each function.
    """
    from tvm import tirx

    calls = calls_of(module)
    done: dict[str, Scheduled] = {}
    facts = []
    for variable, func in module.functions_items():
        if not isinstance(func, tirx.PrimFunc):
            continue
        name, key = str(variable.name_hint), workload_key(func)
        sites = calls.get(name, [])
        result = schedule(func, target, chooser(key), constants_of(sites))
        symbol = library_name(name, result)
        if symbol in refused:
            symbol, result = name, Scheduled(None, FALLBACK, refused[symbol])
        done[name] = result
        facts.append(FunctionFacts(symbol, result.rule, result.why, len(sites), work_of(func), key))
    packed: dict[str, tuple[Any, int, int]] = {}
    for variable in module.get_global_vars():
        made = done.get(str(variable.name_hint))
        if made is None:
            continue
        if made.func is None:
            module.update_func(variable, with_curves(module[variable]))
        elif made.packed is None:
            module.update_func(variable, made.func)
        else:
            packed[str(variable.name_hint)] = (made.func, *made.packed)
    return _with_packed(module, packed) if packed else module, tuple(facts)


def lower(module: Any, target: Any) -> Any:
    """Plan memory and make calls, as TVM's own pipeline for CPUs does after fusion."""
    from tvm import ir
    from tvm.relax.backend.cpu_generic import pipeline

    with target:
        return ir.transform.Sequential([*pipeline.dataflow_lower_passes(target), *pipeline.finalize_passes(target)])(
            module
        )


def cpu_module(
    module: Any, target: Any, chooser: Chooser = defaults, refused: Mapping[str, str] = MappingProxyType({})
) -> tuple[Any, ScheduleFacts]:
    """A Relax module ready for code generation, and what the rules did; arguments as in `schedule_module`."""
    isa = isa_of(target)
    fused, layout = fuse(module, target)
    scheduled, functions = schedule_module(fused, target, chooser, refused)
    return lower(scheduled, target), ScheduleFacts(isa.name, isa.threads, functions, layout)


def broken_functions(module: Any, target: Any, facts: ScheduleFacts) -> dict[str, str]:
    """Scheduled functions that cannot be compiled, each tried by itself, and why: a rule met a shape it cannot do.

    Args:
        module: of `cpu_module`, which failed to compile.
        target: for which.
        facts: of `cpu_module`.
    """
    from tvm import ir, tirx

    broken = {}
    scheduled = {each.name for each in facts.functions if each.rule != FALLBACK}
    for variable, func in module.functions_items():
        name = str(variable.name_hint)
        if name not in scheduled:
            continue
        try:
            alone = ir.IRModule({name: func.with_attr("global_symbol", name)})
            tirx.build(alone, target=target, pipeline=tir_pipeline())
        except Exception as error:  # TVM raises many types
            broken[name] = f"does not compile: {said(error)[:200]}"
    return broken


def work_of(func: Any) -> int:
    """Multiply-adds of a function, or the elements that it writes: the largest of its blocks."""
    from tvm import s_tir

    from ofa_edge.export.tvm.schedules.nest import blocks_of

    try:
        trace = s_tir.Schedule(func.with_attr("global_symbol", "main"))
        axes = (trace.get(block).iter_vars for block in blocks_of(trace))
        return max((math.prod(int(axis.dom.extent) for axis in each) for each in axes), default=0)
    except Exception:  # no blocks, or extents that are no numbers
        return 0


def library_name(name: str, scheduled: Scheduled) -> str:
    """What function `name` is called in the library: one that takes packed weights has another type, and name."""
    return name if scheduled.packed is None else name + _PACKED


def calls_of(module: Any) -> dict[str, list[Any]]:
    """The calls of each function in `main`, by name."""
    from tvm import relax

    found: dict[str, list[Any]] = {}

    @relax.expr_functor.visitor
    class Collector(relax.PyExprVisitor):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> None:
            super().visit_call_(call)
            if getattr(call.op, "name", "") == "relax.call_tir":
                found.setdefault(str(call.args[0].name_hint), []).append(call)

    Collector().visit_expr(module["main"])
    return found


def constants_of(sites: list[Any]) -> frozenset[int]:
    """Parameters that are constants at every call."""
    from tvm import ir

    each = [
        {index for index, argument in enumerate(call.args[1]) if isinstance(argument, ir.GenericConst)}
        for call in sites
    ]
    return frozenset(set.intersection(*each)) if each else frozenset()


def _with_packed(module: Any, packed: Mapping[str, tuple[Any, int, int]]) -> Any:
    """Put in the functions that take packed weights, and lay the constants out at every call of them.

    Args:
        module: of `fuse`.
        packed: (function, parameter, panel) by the name of the function as it was.
    """
    from tvm import relax

    @relax.expr_functor.mutator
    class Repacker(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            if getattr(call.op, "name", "") != "relax.call_tir" or call.args[0].name_hint not in packed:
                return call
            _, parameter, panel = packed[call.args[0].name_hint]
            arguments = list(call.args[1])
            arguments[parameter] = relax.const(pack_array(arguments[parameter].value.numpy(), panel))
            function = variables[call.args[0].name_hint]
            return relax.Call(call.op, [function, relax.Tuple(arguments)], call.attrs, call.ty_args)

    mutator = Repacker(module)
    # A function's variable carries its type, so that other shapes need another variable.
    variables = {name: mutator.builder_.add_func(func, name + _PACKED) for name, (func, *_) in packed.items()}
    mutator.builder_.update_func(module.get_global_var("main"), mutator.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(mutator.builder_.get())
