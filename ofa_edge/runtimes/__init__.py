"""Runtimes: one object each, in a file of its own. Nobody outside this room asks which runtime one is."""

from ofa_edge.runtimes.base import Artifact, CycleAccount, Runtime, Timer, Turns
from ofa_edge.runtimes.registry import (
    FASTEST,
    broken_runtimes,
    is_own,
    precisions_for,
    require,
    runtime_named,
    runtimes,
    runtimes_for,
)
from ofa_edge.runtimes.values import Converted, DropLimit, Export, Facts, HostAnswers, RunHere, Stages, Tuning

__all__ = [
    "FASTEST",
    "Artifact",
    "Converted",
    "CycleAccount",
    "DropLimit",
    "Export",
    "Facts",
    "HostAnswers",
    "RunHere",
    "Runtime",
    "Stages",
    "Timer",
    "Tuning",
    "Turns",
    "broken_runtimes",
    "is_own",
    "precisions_for",
    "require",
    "runtime_named",
    "runtimes",
    "runtimes_for",
]
