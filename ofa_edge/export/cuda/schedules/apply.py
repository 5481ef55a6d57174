"""From a Relax module to one whose functions are all scheduled for a CUDA device, and which rule took which."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ofa_edge.export.cuda.schedules import elementwise, product, vector, window
from ofa_edge.export.cuda.schedules.layout import channels_last
from ofa_edge.export.cuda.schedules.nest import Nest, read_nest

FALLBACK = "TVM's default"
# Multiprocessors of the devices here: Jetson Nano, Jetson Xavier NX, Jetson Orin Nano (their data sheets).
_PROCESSORS = MappingProxyType({"sm_53": 1, "sm_72": 6, "sm_87": 8})


@dataclass(frozen=True)
class Scheduled:
    """A module in which every function has its threads.

    Attributes:
        module: the `tvm.IRModule`, ready for `finish`.
        rules: the rule that took each function; `FALLBACK` where none did.
    """

    module: Any
    rules: Mapping[str, str]


def schedule(module: Any, target: Any) -> Scheduled:
    """Lower a Relax module to fused functions in NHWC and give each its threads.

    Args:
        module: of `relax.import_onnx`.
        target: a `tvm.target.Target` of kind cuda.
    """
    from tvm import ir, tirx
    from tvm.s_tir import dlight

    with target:
        module = ir.transform.Sequential(_fusion())(channels_last(module))
        processors = _PROCESSORS.get(str(target.attrs["arch"]), 4)
        rules, taken = {}, {}
        for variable, function in module.functions_items():
            if isinstance(function, tirx.PrimFunc):
                rules[variable.name_hint], done = _apply(function, processors)
                if done is not None:
                    taken[variable] = done
        for variable, function in taken.items():
            module[variable] = function
        gpu = dlight.gpu
        default = [gpu.Matmul(), gpu.GEMV(), gpu.Reduction(), gpu.GeneralReduction(), gpu.Fallback()]
        return Scheduled(dlight.ApplyDefaultSchedule(*default)(module), MappingProxyType(rules))


def context() -> Any:
    """How to compile what `schedule` returns: the kernels' compiler unrolls, not TVM, whose source grew tenfold."""
    from tvm.ir.transform import PassContext

    return PassContext(opt_level=3, config={"tirx.UnrollLoop": {"explicit_unroll": False}})


def finish(module: Any, target: Any) -> Any:
    """Run the passes that remain after `schedule`, as TVM's own pipeline for CUDA has them."""
    from tvm import ir
    from tvm.relax.backend.cuda import pipeline

    passes = [*pipeline.dataflow_lower_passes(target), *pipeline.finalize_passes(target)]
    with target:
        return ir.transform.Sequential(passes)(module)


def _apply(function: Any, processors: int) -> tuple[str, Any]:
    """The first rule that takes a function. A schedule is spent by the rule that refuses it, so each gets its own."""
    from tvm.s_tir.schedule import ScheduleError

    rules: dict[str, Callable[[Nest], Any]] = {
        "elementwise": elementwise.schedule,
        "vector": vector.schedule,
        "window": window.schedule,
        "product": lambda nest: product.schedule(nest, processors),
    }
    for name, rule in rules.items():
        nest = read_nest(function)
        if nest is None:
            break
        if nest.main is None and name != "elementwise":
            continue
        try:
            done = rule(nest)
        except ScheduleError:  # TVM cannot do one of the rule's steps on this function
            continue
        if done is not None:
            return name, done.mod["main"].with_attr("tirx.is_scheduled", True)
    return FALLBACK, None


def _fusion() -> list[Any]:
    from tvm.relax import transform as t

    return [
        t.LegalizeOps(),
        t.AnnotateTIROpPattern(),
        t.FoldConstant(),
        t.FuseOps(),
        t.FuseTIR(),
        t.DeadCodeElimination(),
    ]
