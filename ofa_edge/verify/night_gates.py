"""The nightly gates that need no statistics of time: accuracy, size, memory, operators, instruction counts.

Each holds the candidate against the golden, on the same device and the same night. None means that there is nothing to
compare.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import argmax, mcnemar_p
from ofa_edge.verify.gates import ACCURACY_FLOOR, INSTRUCTIONS_LIMIT, LEAST_DROP, MCNEMAR_P
from ofa_edge.verify.night import Decision
from ofa_edge.verify.regression import Colour

SIZE_LIMITS = (0.01, 0.05)  # YELLOW, RED; both builds are deterministic
MEMORY_LIMITS = (0.05, 0.10)  # resident pages vary by some percent from process to process


@dataclass(frozen=True)
class Flip:
    """An image whose answer changed. Classes are numbers; `golden` and `candidate` are -1 for an answer with a NaN."""

    image: int
    label: int
    golden: int
    candidate: int


@dataclass(frozen=True)
class AccuracyFinding:
    """The accuracy gate's end: top-1 of both as fractions of 1, and the images that changed sides or answers."""

    decision: Decision
    golden: float
    candidate: float
    flips: tuple[Flip, ...]


def accuracy_gate(
    golden: NDArray[np.float32],
    candidate: NDArray[np.float32],
    labels: NDArray[np.int64],
    fp32_top1: float | None = None,
) -> AccuracyFinding:
    """Paired answers to the same images: exact McNemar and the drop, and the floor against the fp32 network.

    Args:
        golden: logits [N, classes].
        candidate: the same, to the same images.
        labels: [N].
        fp32_top1: the fp32 network's top-1 on these images; None where it is not known.
    """
    first, second = argmax(golden), argmax(candidate)
    right, still = first == labels, second == labels
    lost, won = int((right & ~still).sum()), int((~right & still).sum())
    drop, p = (lost - won) / len(labels), mcnemar_p(lost, won)
    flips = tuple(Flip(int(i), int(labels[i]), int(first[i]), int(second[i])) for i in np.flatnonzero(first != second))
    top1 = float(still.mean())
    decision = _accuracy_decision(drop, p, top1, fp32_top1, f"{lost} images lost, {won} won")
    return AccuracyFinding(decision, float(right.mean()), top1, flips)


def _accuracy_decision(drop: float, p: float, top1: float, fp32_top1: float | None, sides: str) -> Decision:
    words = f"{100 * top1:.2f} % top-1, {sides} (p {p:.2g})"
    if fp32_top1 is not None and top1 < ACCURACY_FLOOR * fp32_top1:
        floor = f"under {100 * ACCURACY_FLOOR:.0f} % of fp32's {100 * fp32_top1:.2f} %"
        return Decision(Colour.RED, "below-floor", f"{words}; {floor}", p=p)
    large, clear = drop > LEAST_DROP, p < MCNEMAR_P and drop > 0
    if large and clear:
        return Decision(Colour.RED, "accuracy-dropped", f"{words}: {100 * drop:.2f} points lost", p=p)
    if large or clear:
        code = "drop-without-evidence" if large else "evidence-of-little"
        return Decision(Colour.YELLOW, code, f"{words}: {100 * drop:.2f} points lost", p=p)
    return Decision(Colour.GREEN, "no-drop", words, p=p)


def growth_gate(what: str, golden: float, candidate: float, limits: tuple[float, float]) -> Decision:
    """A quantity that may not grow: YELLOW over the first limit, RED over the second (shares of the golden's).

    Args:
        what: in words and, with hyphens, in the reason code: "size", "peak memory".
        golden: the quantity.
        candidate: the same, in the same unit.
        limits: of YELLOW and of RED.
    """
    share = candidate / golden - 1 if golden else (math.inf if candidate else 0.0)
    code = what.replace(" ", "-")
    words = f"{what} {share:+.2%}"
    if share > limits[1]:
        return Decision(Colour.RED, f"{code}-grew", f"{words}, {limits[1]:.0%} allowed")
    if share > limits[0]:
        return Decision(Colour.YELLOW, f"{code}-grew-little", f"{words}, RED over {limits[1]:.0%}")
    return Decision(Colour.GREEN, f"{code}-kept", words)


def instructions_gate(golden: int, candidate: int) -> Decision:
    """Instructions of one inference under emulation: a TVM runner's count is exact, LiteRT's varies by under 0.03 %."""
    share = candidate / golden
    words = f"{share - 1:+.2%} instructions an inference"
    if share > INSTRUCTIONS_LIMIT:
        return Decision(Colour.RED, "more-instructions", f"{words}, {INSTRUCTIONS_LIMIT - 1:.0%} allowed")
    return Decision(Colour.GREEN, "instructions-kept", words)


def undelegated_gate(golden: Mapping[str, int], candidate: Mapping[str, int]) -> Decision:
    """Operators that the device's delegate left to slow kernels: not one more than before."""
    more = {name: count - golden.get(name, 0) for name, count in candidate.items() if count > golden.get(name, 0)}
    if more:
        words = ", ".join(f"{name} +{count}" for name, count in sorted(more.items()))
        return Decision(Colour.RED, "more-undelegated", f"left to slow kernels: {words}")
    return Decision(Colour.GREEN, "undelegated-kept", f"{sum(candidate.values())} operators undelegated")


def operators_gate(golden: Mapping[str, int], candidate: Mapping[str, int]) -> Decision:
    """The operator list: a change is no fault, but nobody should learn of it from a user."""
    names = sorted(set(golden) | set(candidate))
    changed = [
        f"{name} {golden.get(name, 0)} -> {candidate.get(name, 0)}"
        for name in names
        if golden.get(name, 0) != candidate.get(name, 0)
    ]
    if changed:
        return Decision(Colour.YELLOW, "operators-changed", ", ".join(changed))
    return Decision(Colour.GREEN, "operators-kept", f"{sum(candidate.values())} operators of {len(names)} kinds")
