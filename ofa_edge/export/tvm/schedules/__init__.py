"""Schedules of our own for CPUs: TVM's default runs naive loops, an order of magnitude slower than its peers.

`apply.cpu_module` is the whole; `rules.schedule` is one function; each rule is one file with its loops in its
docstring. docs/tvm.md says what each does and why.
"""

from ofa_edge.export.tvm.schedules.apply import Chooser, broken_functions, cpu_module, defaults
from ofa_edge.export.tvm.schedules.facts import FunctionFacts, ScheduleFacts
from ofa_edge.export.tvm.schedules.isa import Isa, isa_of
from ofa_edge.export.tvm.schedules.knobs import Knobs, default_knobs
from ofa_edge.export.tvm.schedules.rules import Scheduled, schedule, workload_key

__all__ = [
    "Chooser",
    "FunctionFacts",
    "Isa",
    "Knobs",
    "ScheduleFacts",
    "Scheduled",
    "broken_functions",
    "cpu_module",
    "default_knobs",
    "defaults",
    "isa_of",
    "schedule",
    "workload_key",
]
