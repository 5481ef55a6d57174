"""The goals, each with what was found and whether it was met."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench_artifacts.figures import Result, geometric

PEERS = ("litert-torch", "onnx2tf")
Measure = Callable[[Result], float | None]


@dataclass(frozen=True)
class Goal:
    """A bound that every network's value should keep.

    Attributes:
        title: in the page.
        value: of one network; None: it has none, the goal is not about it.
        bound: the value's limit.
        side: on which side of the bound values should lie.
        over: how the values of several networks are put together; the bound is held against each of them where that is
            "each", and against their mean where it is "mean".
        form: how a value is printed.
    """

    title: str
    value: Measure
    bound: float
    side: Literal["most", "least"] = "most"
    over: Literal["each", "mean"] = "each"
    form: str = "{:.2f}"

    def meets(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value <= self.bound if self.side == "most" else value >= self.bound


def ratio(first: str, second: str) -> Measure:
    """Paired latency of two tools."""

    def value(result: Result) -> float | None:
        found = result.ratio(first, second)
        return None if found is None else found.value

    return value


def where(condition: Callable[[Result], bool], measure: Measure) -> Measure:
    """Only of networks that meet a condition."""
    return lambda result: measure(result) if condition(result) else None


def counted(first: str, second: str, core: str) -> Measure:
    """Instructions of two tools."""
    return lambda result: result.instruction_ratio(first, second, core)


def drop(result: Result) -> float | None:
    """Top-1 points that int8 loses against our own fp32."""
    top1s = [result.tool(name).get("top1") for name in ("ours-fp32", "ours-int8")]
    return None if None in top1s else 100 * (top1s[0] - top1s[1])


GOALS = (
    Goal(
        "our fp32 / plain fp32, with 7x7 kernels", where(lambda r: r.sevens > 0, ratio("ours-fp32", "plain-fp32")), 0.65
    ),
    Goal("our fp32 / plain fp32, without", where(lambda r: r.sevens == 0, ratio("ours-fp32", "plain-fp32")), 1.02),
    Goal("our int8 / our fp32", ratio("ours-int8", "ours-fp32"), 0.80),
    Goal("our int8 / our fp32, instructions on a Cortex-A76", counted("ours-int8", "ours-fp32", "cortex-a76"), 0.55),
    Goal("top-1 lost by our int8, points, on average", drop, 0.5, over="mean"),
    Goal("our TVM / ONNX Runtime, one thread", ratio("tvm", "onnx"), 1.10),
    Goal("our TVM / plain TFLite, one thread", ratio("tvm", "plain-fp32"), 0.80),
    Goal("our TVM / our TFLite, one thread", ratio("tvm", "ours-fp32"), 1.15),
    Goal("our TVM, one thread / two threads", ratio("tvm", "tvm-2"), 1.6, "least"),
    Goal("our TVM / plain TFLite, instructions on a Cortex-A72", counted("tvm-a72", "plain-fp32", "cortex-a72"), 0.65),
    Goal("our TVM / our TFLite, instructions on a Cortex-A72", counted("tvm-a72", "ours-fp32", "cortex-a72"), 0.95),
    Goal("build of our TVM, CPU seconds", lambda r: r.tool("tvm").get("cpu_s"), 30, form="{:.0f}"),
    Goal(
        "our TVM against torch, largest relative difference",
        lambda r: r.tool("tvm").get("relative"),
        1e-4,
        form="{:.0e}",
    ),
)


def peer_goals(peer: str, precision: str) -> tuple[Goal, ...]:
    """At or ahead of a peer: "at" is within 2 % of time, 1 % of size, 0.5 points of top-1, 1 dB."""
    ours, theirs = f"ours-{precision}", f"{peer}-{precision}"

    def size(result: Result) -> float | None:
        sizes = [result.tool(name).get("size") for name in (ours, theirs)]
        return sizes[0] / sizes[1] if all(sizes) else None

    def seconds(result: Result) -> float | None:
        costs = [result.cost(name) for name in (ours, theirs)]
        return costs[0] / costs[1] if costs[0] and costs[1] else None

    def points(result: Result) -> float | None:
        top1s = [result.tool(name).get("top1") for name in (ours, theirs)]
        return None if None in top1s else 100 * (top1s[0] - top1s[1])

    def decibels(result: Result) -> float | None:
        if result.facts["labelled"]:
            return None
        snrs = [result.tool(name).get("snr_db") for name in (ours, theirs)]
        return None if None in snrs else min(snrs[0], 100.0) - min(snrs[1], 100.0)  # beyond 100 dB all is rounding

    return (
        Goal(f"{precision}: latency / {peer}'s", ratio(ours, theirs), 1.02),
        Goal(f"{precision}: size / {peer}'s", size, 1.01),
        Goal(f"{precision}: top-1 points over {peer}'s", points, -0.5, "least", form="{:+.2f}"),
        Goal(f"{precision}: dB over {peer}'s", decibels, -1.0, "least", form="{:+.1f}"),
        Goal(f"{precision}: conversion, CPU seconds / {peer}'s", seconds, 1.0),
    )


def row(goal: Goal, results: Sequence[Result]) -> tuple[str, str] | None:
    """What was found over some networks, and the verdict; None where the goal is about none of them."""
    values = [value for value in map(goal.value, results) if value is not None]
    if not values:
        return None
    plain = goal.over == "mean" or min(values) <= 0
    mean = float(np.mean(values)) if plain else geometric(values)
    lowest, middle, highest = (goal.form.format(value) for value in (min(values), mean, max(values)))
    found = f"{middle} ({lowest} to {highest})" if len(values) > 1 else middle
    if goal.over == "mean":
        return found, "met" if goal.meets(mean) else "**missed**"
    kept, missed = sum(map(goal.meets, values)), "**missed**"
    if len(values) == 1:
        return found, "met" if kept else missed
    return found, f"met by all {kept}" if kept == len(values) else f"{missed}, met by {kept} of {len(values)}"
