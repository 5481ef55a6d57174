"""What the rules did to a network: which function went where, and what those that no rule takes cost."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

from ofa_edge.export.tvm.schedules.rules import FALLBACK

ShareKind = Literal["measured", "estimated"]


@dataclass(frozen=True)
class FunctionFacts:
    """One compiled function.

    Attributes:
        name: in the library.
        rule: that scheduled it, or "default".
        why: it has TVM's default; empty where a rule took it.
        calls: in one inference.
        work: multiply-adds of one call, or elements where it multiplies nothing.
        key: digest of what it computes (`rules.workload_key`).
    """

    name: str
    rule: str
    why: str
    calls: int
    work: int
    key: str


@dataclass(frozen=True)
class ScheduleFacts:
    """All functions of one library.

    Attributes:
        isa: instruction set that the rules took the target for.
        threads: for which it was compiled.
        functions: in the order of the library.
        layout: "NHWC", or why the network stayed as it was.
        seconds: of one inference by function name, where it was measured on this machine.
    """

    isa: str
    threads: int
    functions: tuple[FunctionFacts, ...]
    layout: str = "NHWC"
    seconds: tuple[tuple[str, float], ...] = ()

    @property
    def fallbacks(self) -> tuple[FunctionFacts, ...]:
        """Functions that no rule took."""
        return tuple(each for each in self.functions if each.rule == FALLBACK)

    @property
    def share_kind(self) -> ShareKind:
        """Whether `share` speaks of time or of work."""
        return "measured" if self.seconds else "estimated"

    def share(self, function: FunctionFacts) -> float:
        """A function's share of one inference: of its time where that was measured, else of its work."""
        if self.seconds:
            times = dict(self.seconds)
            return times.get(function.name, 0.0) / max(sum(times.values()), 1e-12)
        total = sum(each.calls * each.work for each in self.functions)
        return function.calls * function.work / max(total, 1)

    def timed(self, seconds: dict[str, float]) -> "ScheduleFacts":
        """The same with measured times."""
        return replace(self, seconds=tuple(sorted(seconds.items())))

    def to_json(self) -> dict[str, Any]:
        """As the manifest and model.json carry it. No times: they differ from run to run, and files must not."""
        return {
            "isa": self.isa,
            "threads": self.threads,
            "layout": self.layout,
            "rules": dict(sorted(Counter(each.rule for each in self.functions).items())),
            "share_of": "time" if self.share_kind == "measured" else "work",
            "fallbacks": [
                {"function": each.name, "why": each.why, "calls": each.calls, "share": round(self.share(each), 4)}
                for each in sorted(self.fallbacks, key=self.share, reverse=True)
            ],
        }
