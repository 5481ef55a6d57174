"""The functions of a network as a tuner sees them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.export.tvm.relax import import_onnx
from ofa_edge.export.tvm.schedules import isa_of, workload_key
from ofa_edge.export.tvm.schedules.apply import calls_of, constants_of, fuse, library_name, work_of
from ofa_edge.export.tvm.schedules.rules import FALLBACK, Scheduled, schedule
from ofa_edge.vocabulary import Precision


@dataclass(frozen=True)
class NetworkFunction:
    """A distinct computation of a network.

    Attributes:
        name: in an untuned library; one of several where equal functions have several.
        key: `workload_key`.
        func: the fused `PrimFunc`, not scheduled.
        constants: parameters that are constants at every call.
        calls: in one inference, under whatever names.
        work: multiply-adds of one call, or elements where it multiplies nothing.
        default: its schedule with default knobs.
    """

    name: str
    key: str
    func: Any
    constants: frozenset[int]
    calls: int
    work: int
    default: Scheduled

    @property
    def weight(self) -> float:
        """Estimated share of the network, in no unit."""
        return float(self.calls * self.work)


def network_functions(onnx_path: Path, target: Any, precision: Precision) -> tuple[NetworkFunction, ...]:
    """The functions of a model whose rules leave something to turn, the heaviest by work first.

    Args:
        onnx_path: as `compile.compile_cpu` takes it.
        target: a `tvm.target.Target` of a CPU.
        precision: "fp32" or "fp16".
    """
    from tvm import tirx

    fused, _ = fuse(import_onnx(onnx_path, precision), target)
    calls, threads = calls_of(fused), isa_of(target).threads
    found: dict[str, NetworkFunction] = {}
    for variable, func in fused.functions_items():
        sites = calls.get(str(variable.name_hint), [])
        if not isinstance(func, tirx.PrimFunc) or not sites:
            continue
        key, constants = workload_key(func), constants_of(sites)
        known = found.get(key)
        count = len(sites) + (known.calls if known else 0)
        default = known.default if known else schedule(func, target, None, constants)
        if is_turnable(default.rule, threads):
            name = library_name(str(variable.name_hint), default)
            found[key] = NetworkFunction(name, key, func, constants, count, work_of(func), default)
    return tuple(sorted(found.values(), key=lambda each: (-each.weight, each.key)))


def is_turnable(rule: str, threads: int) -> bool:
    """Whether a rule has choices: pooling and elementwise loops have none but whether threads share them."""
    return rule in ("pointwise", "dense", "depthwise") or (rule != FALLBACK and threads > 1)
