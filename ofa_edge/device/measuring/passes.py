"""Passes of their own beside accuracy and latency: peak memory, and the time of each operator where it can be had."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa_edge.device.measuring.android_app import AndroidAppProgram
from ofa_edge.device.measuring.programs import with_memory, with_profile
from ofa_edge.device.measuring.raw_outputs import PROBE
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.measuring.turns import open_litert_turns
from ofa_edge.errors import DeviceRunError, ThrottledError

_MEMORY_RUNS = 10
_PROFILE_RUNS = 50
_ROUNDS, _ROUNDS_LIMIT_S = 50, 60.0


@dataclass(frozen=True)
class Memory:
    """Resident bytes of the process that ran the network: at its peak, and at its peak before it loaded the network."""

    peak: int
    before: int


@dataclass(frozen=True)
class FunctionTime:
    """One function of the network: calls and milliseconds in one inference."""

    name: str
    calls: int
    ms: float


@dataclass(frozen=True)
class FunctionTimes:
    """Where one inference's time goes.

    Attributes:
        items: in the order in which they run.
        alone: each was a model of its own: nothing is fused, every one pays a call, caches hold its own tensors. Else
            they were watched at work, which adds to each.
        whole_ms: one inference, unwatched, that took turns with them; None where none did.
    """

    items: tuple[FunctionTime, ...]
    alone: bool = False
    whole_ms: float | None = None


@dataclass(frozen=True)
class Unavailable:
    """What a device or runtime does not give, and why."""

    reason: str


def memory_pass(artifact: OpenArtifact) -> Memory | Unavailable:
    """Peak memory of a process that loads the network and runs it ten times.

    Raises:
        DeviceError: the device was lost, or its program failed.
    """
    if artifact.emulated:
        return Unavailable("an emulated process's memory is mostly the emulator's")
    if not artifact.program.tells_memory:
        return Unavailable("the runner there does not tell its peak memory")
    facts = artifact.run(with_memory(artifact.first("memory"), _MEMORY_RUNS))
    try:
        peak, before = int(facts["peak_memory"]), int(facts["memory_before"])
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceRunError("the runner's memory is not readable", repr(error), PROBE) from error
    return Memory(peak, before) if peak > 0 else Unavailable("its kernel tells no VmHWM in /proc/self/status")


def no_profile(artifact: OpenArtifact) -> Unavailable | None:
    """Why neither of the two passes below can be had of this artifact there; None where one can."""
    if artifact.emulated:
        return Unavailable("an emulated device gives no times")
    if isinstance(artifact.program, AndroidAppProgram):
        return Unavailable("the demo app runs whole networks; LiteRT's benchmark_model has a profiler for phones")
    return None


def profile_pass(artifact: OpenArtifact) -> FunctionTimes | Unavailable:
    """Time of each function, watched at work by the runtime's own instrument, where its runner has one.

    Raises:
        DeviceBusyError: the device was not fit to be measured by the deadline.
        ThrottledError: it was slowed down.
        DeviceError: the device was lost, or its program failed.
    """
    if (unavailable := no_profile(artifact)) is not None:
        return unavailable
    with _fit(artifact):
        facts = artifact.run(with_profile(artifact.first("profile"), _PROFILE_RUNS))
    try:
        runs = int(facts["runs"])
        return FunctionTimes(
            tuple(
                FunctionTime(str(name), int(calls) // runs, int(ns) / runs / 1e6)
                for name, calls, ns in facts["profile"]
            )
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DeviceRunError("the runner's profile is not readable", repr(error), PROBE) from error


def operators_pass(artifact: OpenArtifact, operators: Mapping[str, Path]) -> FunctionTimes | Unavailable:
    """Time of each operator of a TFLite artifact as a model of its own, for LiteRT's interpreter tells no profile.

    The operators and the whole network take turns in one process; of each, the median round.

    Args:
        artifact: on the device.
        operators: a TFLite file here for each operator, by its name, in the order in which they run.

    Raises:
        DeviceBusyError: the device was not fit to be measured by the deadline.
        ThrottledError: it was slowed down.
        DeviceError: the device was lost, or its program failed.
    """
    if (unavailable := no_profile(artifact)) is not None:
        return unavailable
    request = artifact.request
    files = {f"{place}.tflite": path for place, path in enumerate((request.artifact, *operators.values()))}
    with (
        artifact.restarts_told(),
        open_litert_turns(artifact.connection, request.threads, cores=request.cores) as program,
    ):
        program.send(files)
        with _fit(artifact):
            rounds = program.time(files, [program.place(name) for name in files], _ROUNDS, _ROUNDS_LIMIT_S)
    whole, *each = (float(ns) / 1e6 for ns in np.median(rounds, axis=0))
    items = tuple(FunctionTime(name, 1, ms) for name, ms in zip(operators, each, strict=True))
    return FunctionTimes(items, alone=True, whole_ms=whole)


@contextlib.contextmanager
def _fit(artifact: OpenArtifact) -> Iterator[None]:
    """Wait until the device may be measured; raise ThrottledError where it was slowed down meanwhile."""
    conditions = artifact.conditions
    if conditions is None:
        yield
        return
    conditions.before()
    yield
    reason = conditions.after()
    if reason:
        raise ThrottledError(
            f"{artifact.connection.name} was slowed down while it was profiled", reason, "cool it, then run it again"
        )
