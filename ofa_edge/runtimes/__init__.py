"""Runtimes: one object each, in a file of its own. Nobody outside this room asks which runtime one is."""

from ofa_edge.runtimes.base import (
    Artifact,
    Converted,
    DropLimit,
    Export,
    Facts,
    HostAnswers,
    RunHere,
    Runtime,
    Stages,
    Timer,
    Tuning,
    Turns,
)
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

__all__ = [
    "FASTEST",
    "Artifact",
    "Converted",
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
