"""Passes of their own beside accuracy and latency: peak memory, and the time of each operator where it can be had."""

from dataclasses import dataclass

from ofa_edge.device.programs import with_memory, with_profile
from ofa_edge.device.session import OpenArtifact
from ofa_edge.errors import DeviceRunError

_MEMORY_RUNS = 10
_PROFILE_RUNS = 50


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
        raise DeviceRunError("the runner's memory is not readable", repr(error), "ofa-edge doctor") from error
    return Memory(peak, before) if peak > 0 else Unavailable("its kernel tells no VmHWM in /proc/self/status")


def profile_pass(artifact: OpenArtifact) -> tuple[FunctionTime, ...] | Unavailable:
    """Time of each function of the network, in the order in which they run; the watching adds to each.

    Raises:
        DeviceBusyError: the device was not fit to be measured by the deadline.
        DeviceError: the device was lost, or its program failed.
    """
    if artifact.emulated:
        return Unavailable("an emulated device gives no times")
    if artifact.request.runtime == "tflite":
        return Unavailable("LiteRT's Python interpreter has no profiler; its C++ benchmark_model has one")
    if artifact.conditions is not None:
        artifact.conditions.before()
    facts = artifact.run(with_profile(artifact.first("profile"), _PROFILE_RUNS))
    try:
        runs = int(facts["runs"])
        return tuple(
            FunctionTime(str(name), int(calls) // runs, int(ns) / runs / 1e6) for name, calls, ns in facts["profile"]
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DeviceRunError("the runner's profile is not readable", repr(error), "ofa-edge doctor") from error
