"""All runtimes by name: our own, and those of installed packages."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.runtimes.base import Runtime
from ofa_edge.runtimes.ethos_u import EthosU
from ofa_edge.runtimes.onnxruntime import OnnxRuntime
from ofa_edge.runtimes.tflite import TFLite
from ofa_edge.runtimes.tvm import Tvm
from ofa_edge.runtimes.tvm_cuda import TvmCuda
from ofa_edge.runtimes.zigzag import ZigZag
from ofa_edge.shown import pasteable
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision, numbers

ENTRY_POINTS = "ofa_edge.runtimes"
FASTEST = "fastest"  # after --runtime: none by itself, but whichever a build measures to be so
OWN: tuple[Callable[[], Runtime], ...] = (TFLite, Tvm, TvmCuda, OnnxRuntime, EthosU, ZigZag)


@dataclass(frozen=True)
class Registry:
    """What is there, and what cannot be used: an error for each name."""

    found: Mapping[str, Runtime]
    broken: Mapping[str, ConfigError]


@functools.cache
def registry() -> Registry:
    """Every runtime by its name, ours first. A broken plug-in, or a name given twice, costs that name alone."""
    found: dict[str, Runtime] = {runtime.name: runtime for runtime in (make() for make in OWN)}
    broken: dict[str, ConfigError] = {}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            runtime = _plugin(point)
        except ConfigError as error:
            broken[point.name] = error
            continue
        if runtime.name == FASTEST:
            broken[point.name] = ConfigError(
                f"no runtime can be named '{FASTEST}'",
                f"{_package(point)}: --runtime {FASTEST} measures all of them",
                f"uninstall {_package(point)}, or rename its runtime",
            )
            continue
        if runtime.name in found:
            broken[runtime.name] = ConfigError(
                f"two runtimes are named '{runtime.name}'",
                f"{_package(point)} brings one, {type(found[runtime.name]).__module__} the other",
                f"uninstall {_package(point)}, or rename its runtime",
            )
            continue
        found[runtime.name] = runtime
    return Registry(MappingProxyType(found), MappingProxyType(broken))


def runtimes() -> Mapping[str, Runtime]:
    """Every runtime that can be used, by its name."""
    whole = registry()
    return {name: runtime for name, runtime in whole.found.items() if name not in whole.broken}


def is_own(runtime: Runtime) -> bool:
    """Whether a runtime is of this project."""
    return type(runtime) in OWN


def broken_runtimes() -> tuple[str, ...]:
    """Names of plug-ins that cannot be used; `runtime_named` says why."""
    return tuple(registry().broken)


def _plugin(point: EntryPoint) -> Runtime:
    fault = f"the runtime of {_package(point)} cannot be used"
    hint = f"correct it, or uninstall {_package(point)}"
    try:
        runtime = point.load()()
    except Exception as error:  # whatever a stranger's module raises while it is loaded
        raise ConfigError(fault, f"{point.value}: {type(error).__name__}: {error}", hint) from error
    if not isinstance(runtime, Runtime):
        raise ConfigError(fault, f"{point.value} makes a {type(runtime).__name__}, no Runtime", hint)
    missing = [name for name in ("name", "title", "artifact_name", "precisions") if not hasattr(runtime, name)]
    if missing:
        raise ConfigError(fault, f"{point.value} has no {', '.join(missing)}", hint)
    return runtime


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def runtime_named(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UnknownNameError: there is none; gives the nearest names.
        UnsupportedError: it is "fastest", which is no runtime.
        ConfigError: two go by that name, or the plug-in cannot be used; names the package.
    """
    known = runtimes()
    if name == FASTEST:
        raise UnsupportedError(
            f"--runtime {FASTEST} names no runtime",
            "it makes ofa-edge build measure all that the target can run; nothing else does",
            f"--runtime NAME, one of: {', '.join(known)}",
        )
    if (error := registry().broken.get(name)) is not None:
        raise error
    if name not in known:
        raise UnknownNameError.of("runtime", name, known, f"runtimes: {', '.join(known)}")
    return known[name]


def runtimes_for(target: Target) -> tuple[Runtime, ...]:
    """Every runtime that builds for a target, its usual one first. Raises UnknownNameError where one is not there."""
    own = tuple(runtime_named(name) for name in target.runtimes)
    others = tuple(each for each in runtimes().values() if each not in own and each.builds_for(target))
    return (*own, *others)


def precisions_for(target: Target, runtime: Runtime) -> tuple[Precision, ...]:
    """Precisions of a target's artifacts: those of its file, and their variants that its hardware can do."""
    able = runtime.able(target)
    return tuple(
        each
        for each in runtime.precisions
        if each in able or (numbers(each).base in able and each != numbers(each).base and _can(target, each))
    )


def _can(target: Target, precision: Precision) -> bool:
    """Whether the hardware adds in half precision, where the precision asks for that."""
    named = precision in target.runtime.unsupported
    return not named and (not numbers(precision).half_sums or target.hardware.peak_gmacs_fp16 is not None)


def require(target: Target, name: str, precision: str) -> Runtime:
    """The runtime of that name, where it can build this precision for the target.

    Raises:
        UnknownNameError: no such runtime.
        UnsupportedError: with the reason that the target file gives, and the alternatives.
        ConfigError: the target file lacks what the runtime has to know.
    """
    runtime = runtime_named(name)
    if not runtime.builds_for(target):
        able = ", ".join(each.name for each in runtimes_for(target))
        raise UnsupportedError(
            f"runtime {name} on {target.name} is not supported",
            f"{target.path.name} builds for: {able}",
            pasteable("ofa-edge", "build", "--target", target.name, "--runtime", target.runtime.kind),
        )
    runtime.check_target(target)
    if precision not in precisions_for(target, runtime):
        _refuse_sums(runtime, target, precision)
        raise _refusal(runtime, target, precision)
    return runtime


def _refuse_sums(runtime: Runtime, target: Target, precision: str) -> None:
    """Raise UnsupportedError for sums in half precision that nothing would make so."""
    try:
        meant = numbers(precision)
    except ValueError:
        return
    if not meant.half_sums or meant.base not in runtime.able(target) or precision not in runtime.precisions:
        return
    missing = f"{target.path.name} gives no hardware.peak_gmacs_fp16: the core adds in fp32 whatever the file allows"
    command = pasteable("ofa-edge", "build", "--target", target.name)
    raise UnsupportedError(
        f"fp16 accumulation on {target.name} is not supported",
        runtime.reasons(target).get(precision, missing),
        f"{command} --precision {meant.base}",
    )


def _refusal(runtime: Runtime, target: Target, precision: str) -> UnsupportedError:
    """The error for a precision that a target does not have with a runtime, with the target's reason."""
    able = runtime.able(target)
    reason = runtime.reasons(target).get(precision)
    if reason is None and precision not in runtime.precisions:
        reason = f"{runtime.title} artifacts come in {', '.join(runtime.precisions)}"
    choice = target.defaults.precision if target.defaults.precision in able else able[0]
    return UnsupportedError(
        f"precision {precision} on {target.name} with {runtime.name} is not supported",
        reason or f"{target.path.name} lists {', '.join(able)} for {runtime.name}",
        pasteable("ofa-edge", "build", "--target", target.name, "--runtime", runtime.name, "--precision", choice),
    )
