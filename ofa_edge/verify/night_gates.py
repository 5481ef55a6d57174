"""The nightly gates that need no statistics of time: accuracy, size, memory, operators, instruction counts.

Each holds the candidate against the golden, on the same device and the same night. None means that there is nothing to
compare.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.decoding import Decoding
from ofa_edge.metrics import SNR_LIMIT_DB, PairedDrop, argmax, mcnemar_p, paired_drop
from ofa_edge.records.manifest import DropRecord, Tolerance
from ofa_edge.verify.accuracy import FLOOR, judge_drop
from ofa_edge.verify.finished import compare_boxes
from ofa_edge.verify.gates import INSTRUCTIONS_LIMIT
from ofa_edge.verify.ladder import Answers, first_rung
from ofa_edge.verify.night import Decision
from ofa_edge.verify.parity import compare
from ofa_edge.verify.regression import Colour
from ofa_edge.verify.scoring import Scorer

MCNEMAR_P = 0.01
LEAST_DROP = 0.005  # of top-1; a smaller one is not worth an alarm, however certain
SIZE_LIMITS = (0.01, 0.05)  # YELLOW, RED; both builds are deterministic
CYCLES_LIMIT = 1.03  # of the golden's; the same file gives the same within 0.01 %
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
    fp32: NDArray[np.bool_] | None = None,
) -> AccuracyFinding:
    """Paired answers to the same images: exact McNemar and the drop, and the floor against the fp32 network.

    The floor goes by the paired interval: RED where it lies below, YELLOW where it holds the floor, the drop beyond.

    Args:
        golden: logits [N, classes].
        candidate: the same, to the same images.
        labels: [N].
        fp32: [N], whether the fp32 network has each image right; None where it is not known.
    """
    first, second = argmax(golden), argmax(candidate)
    right, still = first == labels, second == labels
    lost, won = int((right & ~still).sum()), int((~right & still).sum())
    drop, p = (lost - won) / len(labels), mcnemar_p(lost, won)
    flips = tuple(Flip(int(i), int(labels[i]), int(first[i]), int(second[i])) for i in np.flatnonzero(first != second))
    top1 = float(still.mean())
    words = f"{100 * top1:.2f} % top-1, {lost} images lost, {won} won (p {p:.2g})"
    decision = _golden_decision(drop, p, words)
    if fp32 is not None and decision.colour is not Colour.RED:
        decision = _floor(paired_drop(fp32, still), float(fp32.mean()), p, words) or decision
    return AccuracyFinding(decision, float(right.mean()), top1, flips)


def score_gate(
    scorer: Scorer, golden: NDArray[np.float32], candidate: NDArray[np.float32], fp32: NDArray[np.float32] | None
) -> AccuracyFinding:
    """The same for mAP and mIoU: paired bootstrap over images, the drop, and the floor against the fp32 network.

    Args:
        scorer: of exactly these images.
        golden: answers [N, values].
        candidate: the same, to the same images.
        fp32: the same, of the candidate's exported network; None where it has none.
    """
    first, second = (first_rung(Answers("", each), scorer).accuracy or 0.0 for each in (golden, candidate))
    found = scorer.drop(golden, candidate)
    words = f"{100 * second:.2f} % {found.metric}, {100 * first:.2f} % before"
    words = f"{words} ({100 * found.low95:+.2f} .. {100 * found.high95:+.2f} points lost at 95 %)"
    large, clear = found.drop > LEAST_DROP, found.low95 > 0
    decision = Decision(Colour.GREEN, "no-drop", words)
    if large and clear:
        decision = Decision(Colour.RED, "accuracy-dropped", words)
    elif large or clear:
        decision = Decision(Colour.YELLOW, "drop-without-evidence" if large else "evidence-of-little", words)
    if fp32 is not None and decision.colour is not Colour.RED:
        reference = first_rung(Answers("", fp32), scorer).accuracy or 0.0
        decision = _floor(scorer.drop(fp32, candidate), reference, None, words) or decision
    return AccuracyFinding(decision, first, second, ())


def answers_gate(
    golden: NDArray[np.float32],
    candidate: NDArray[np.float32],
    fp32: NDArray[np.float32] | None,
    least: Tolerance,
    finished: Decoding | None = None,
) -> Decision:
    """Answers where no labels say which are right: RED unlike the candidate's own fp32 network, YELLOW unlike before.

    Args:
        golden: answers [N, values].
        candidate: the same, to the same inputs.
        fp32: the same, of the candidate's exported network; None where it has none.
        least: what such an artifact keeps beside fp32: signal to noise, or boxes.
        finished: reads the boxes of a detector that has suppressed them itself: they are compared as sets.
    """
    if golden.shape != candidate.shape:
        words = f"{candidate.shape[1]} values, {golden.shape[1]} before"
        return Decision(Colour.YELLOW, "answers-moved", words)
    words = "answers beside"
    if fp32 is not None and np.isfinite(fp32).all():
        near, told, allowed = _nearness(fp32, candidate, least, finished)
        if not near:
            return Decision(Colour.RED, "unlike-fp32", f"{words} fp32's {told}, {allowed} allowed")
        words = f"{words} fp32's {told},"
    near, told = False, f"{-SNR_LIMIT_DB:.1f} dB"
    if np.isfinite(golden).all():
        near, told, _ = _nearness(golden, candidate, least, finished)
    words = f"{words} the golden's {told}"
    if not near:
        return Decision(Colour.YELLOW, "answers-moved", f"{words}: another network")
    return Decision(Colour.GREEN, "answers-kept", words)


def _nearness(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], least: Tolerance, finished: Decoding | None
) -> tuple[bool, str, str]:
    """Whether answers are near enough, how near they are, and what is asked, in words."""
    if finished is not None:
        share, wanted = compare_boxes(reference, candidate, finished).share, least.boxes or 0.0
        return share >= wanted, f"{100 * share:.1f} % of boxes", f"{100 * wanted:.0f} %"
    found, wanted = compare(reference, candidate).snr_db, -SNR_LIMIT_DB if least.snr_db is None else least.snr_db
    return found >= wanted, "exact" if found >= SNR_LIMIT_DB else f"{found:.1f} dB", f"{wanted:.0f}"


def _floor(found: DropRecord | PairedDrop, reference: float, p: float | None, words: str) -> Decision | None:
    """RED below the floor, YELLOW where the images cannot tell a drop over it; None where there is nothing to say."""
    allowed = (1 - FLOOR) * reference
    judged = judge_drop(found, reference, allowed)
    words = f"{words}; against fp32's {100 * reference:.2f} %: {judged.words}"
    if judged.outcome == "fail":
        return Decision(Colour.RED, "below-floor", words, p=p)
    if judged.outcome == "unverified" and found.drop > allowed:
        return Decision(Colour.YELLOW, "floor-not-told", words, p=p)
    return None


def _golden_decision(drop: float, p: float, words: str) -> Decision:
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
    share, words = _counted(golden, candidate, "instructions", INSTRUCTIONS_LIMIT)
    if share > INSTRUCTIONS_LIMIT:
        return Decision(Colour.RED, "more-instructions", words)
    return Decision(Colour.GREEN, "instructions-kept", words)


def cycles_gate(golden: int, candidate: int) -> Decision:
    """Modelled cycles of one inference: caches and issue, which instructions leave out. Never RED: it is a model."""
    share, words = _counted(golden, candidate, "modelled cycles", CYCLES_LIMIT)
    if share > CYCLES_LIMIT:
        return Decision(Colour.YELLOW, "more-cycles", words)
    return Decision(Colour.GREEN, "cycles-kept", words)


def _counted(golden: int, candidate: int, what: str, limit: float) -> tuple[float, str]:
    """A count over the golden's, and words: with what is allowed where it is more."""
    share = candidate / golden
    words = f"{share - 1:+.2%} {what} an inference"
    return share, f"{words}, {limit - 1:.0%} allowed" if share > limit else words


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
