"""One device's night: run, run again where noise hid everything or something looks slower, then decide.

The device is behind a function, so that simulated years and real nights go through the same code.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ofa_edge.metrics import holm
from ofa_edge.verify.rank_tests import signed_rank_p
from ofa_edge.verify.regression import DEFAULT_RULES, Colour, Look, Past, Rules, Sessions, look

Measure = Callable[[str], Sessions | None]


@dataclass(frozen=True)
class Decision:
    """The end of one series' night."""

    colour: Colour
    code: str  # for programs
    reason: str
    ratio: float | None = None  # log ratio over all pairs that count
    p: float | None = None  # Holm-adjusted over the device's series, of all pairs that count
    visible: float | None = None  # log ratio: the smallest regression that the night could have seen


@dataclass(frozen=True)
class Night:
    """What one night showed of a device's series, each by its name.

    Attributes:
        first: the run that counts: the last, where earlier ones proved nothing.
        reruns: the second run of those that looked slower.
        decisions: the verdicts.
        pasts: for the next night.
        runs: how many runs were made.
    """

    first: Mapping[str, Look]
    reruns: Mapping[str, Look]
    decisions: Mapping[str, Decision]
    pasts: Mapping[str, Past]
    runs: int


def judge_night(measure: Measure, pasts: Mapping[str, Past], fingerprint: str, rules: Rules = DEFAULT_RULES) -> Night:
    """Measure all series of a device and judge them.

    A run that noise, lost sessions or another state of the device spoiled is made again, at most `rules.retries` times:
    whether it is depends on the golden and on the scatter about the median, not on the median, so it favours neither
    verdict.

    Args:
        measure: makes one run of the series of this name, after whatever pause the device needs; None: no time is left.
        pasts: of each series.
        fingerprint: of the device tonight.
        rules: thresholds.
    """
    runs = 0

    def settled(name: str, is_rerun: bool) -> Look | None:
        nonlocal runs
        seen: Look | None = None
        for _ in range(1 + rules.retries):
            sessions = measure(name)
            if sessions is None:
                break
            runs += 1
            seen = look(sessions, pasts[name], fingerprint, rules, is_rerun=is_rerun)
            if not seen.worth_another():
                break
        return seen

    first = {name: settled(name, False) or _nothing(pasts[name], fingerprint, rules) for name in pasts}
    again = {name: settled(name, True) for name, seen in first.items() if seen.suspected(rules)}
    reruns = {name: seen for name, seen in again.items() if seen is not None}
    decisions = decide(first, reruns, rules)
    following_pasts = {
        name: following(past, first[name], decisions[name], fingerprint, rules) for name, past in pasts.items()
    }
    return Night(first, reruns, decisions, following_pasts, runs)


def _nothing(past: Past, fingerprint: str, rules: Rules) -> Look:
    return look(Sessions((), ()), past, fingerprint, rules)


def decide(first: Mapping[str, Look], reruns: Mapping[str, Look], rules: Rules = DEFAULT_RULES) -> dict[str, Decision]:
    """The verdicts of all latency series of one device.

    Holm's correction is made on the pairs of both runs together: eight pairs cannot reach 0.01 over three series or
    more (the smallest p is 1/256), sixteen can over hundreds. Whether there is a second run depends on the first alone,
    so each error is bounded by that of the test over all pairs, which is at the corrected level.

    Args:
        first: the night's run of each series.
        reruns: the second run of each series that was `suspected` in the first.
        rules: thresholds.
    """
    valid = [name for name, seen in first.items() if seen.blocked is None]
    pooled = [signed_rank_p(np.array(_all_pairs(first[name], reruns.get(name)))) for name in valid]
    adjusted = dict(zip(valid, holm(np.array(pooled)).tolist(), strict=True))
    return {name: _decision(first[name], reruns.get(name), adjusted.get(name, 1.0), rules) for name in first}


def _all_pairs(first: Look, rerun: Look | None) -> tuple[float, ...]:
    return first.log_ratios + (rerun.log_ratios if rerun is not None and rerun.blocked is None else ())


def _decision(first: Look, rerun: Look | None, p: float, rules: Rules) -> Decision:
    if first.blocked is not None:
        visible = first.visible if math.isfinite(first.visible) else None
        ratio = first.ratio if math.isfinite(first.ratio) else None
        return Decision(Colour.INCONCLUSIVE, *first.blocked, ratio=ratio, visible=visible)
    ratio = float(np.median(_all_pairs(first, rerun)))
    size = f"{math.expm1(ratio):+.1%}"

    def decided(colour: Colour, code: str, reason: str) -> Decision:
        return Decision(colour, code, reason, ratio, p, first.visible)

    if first.suspected(rules):
        return decided(*_after_rerun(first, rerun, p, size, rules))
    if first.has_effect():
        return decided(Colour.YELLOW, "effect-without-evidence", f"{size}, but the pairs disagree (p {first.p:.2g})")
    if first.has_evidence(rules) and first.ratio > math.log1p(rules.least_notice):
        words = f"{size} in nearly every pair, under the threshold of {math.expm1(first.threshold):.1%}"
        return decided(Colour.YELLOW, "evidence-of-little", words)
    change = first.change
    if change is not None and change.p < rules.change_alpha and change.shift >= math.log1p(rules.change_effect):
        words = f"{math.expm1(change.shift):+.1%} since {change.nights_since} nights (p {change.p:.1g})"
        return decided(Colour.YELLOW, "change-point", words)
    return decided(Colour.GREEN, "no-regression", f"{size}; from {math.expm1(first.visible):.1%} on it would be seen")


def _after_rerun(first: Look, rerun: Look | None, p: float, size: str, rules: Rules) -> tuple[Colour, str, str]:
    blocked = ("no-rerun", "there was none") if rerun is None else rerun.blocked
    if rerun is None or blocked is not None:
        why = blocked[1] if blocked else ""
        return Colour.YELLOW, "not-confirmed", f"{size} in the first run; the second proved nothing: {why}"
    if not rerun.has_effect():
        words = f"{math.expm1(first.ratio):+.1%} in the first run, {math.expm1(rerun.ratio):+.1%} in the second"
        return Colour.YELLOW, "rerun-disagrees", words
    if p > rules.alpha:
        return Colour.YELLOW, "not-significant", f"{size} in both runs, but p {p:.2g} over the device's series"
    return Colour.RED, "regression", f"{size} in both runs, p {p:.1g} over the device's series"


def following(past: Past, seen: Look, decision: Decision, fingerprint: str, rules: Rules = DEFAULT_RULES) -> Past:
    """The past of the next night."""
    enough = len(seen.log_ratios) >= rules.least_pairs
    golden_ms = seen.golden_ms if enough else None
    return advance(past, fingerprint, decision.colour, decision.ratio, golden_ms, seen.aa_ratio, rules)


def advance(
    past: Past,
    fingerprint: str,
    colour: Colour,
    ratio: float | None,
    golden_ms: float | None,
    aa_ratio: float | None,
    rules: Rules = DEFAULT_RULES,
) -> Past:
    """A past with one more night in it.

    A changed fingerprint begins an epoch with nothing in it but that night's golden. The golden's level is kept of
    nights that it blocked too: a device that stays slower is its own new usual after some nights.

    Args:
        past: before.
        fingerprint: of the device that night.
        colour: the night's verdict.
        ratio: log ratio over all pairs that counted.
        golden_ms: the golden's level; None with too few pairs.
        aa_ratio: see `Sessions.aa_ratio`.
        rules: thresholds.
    """
    if past.fingerprint is not None and past.fingerprint != fingerprint:
        past = Past()
    judged = colour is not Colour.INCONCLUSIVE
    return Past(
        fingerprint,
        _last(past.aa_ratios, aa_ratio if colour is Colour.GREEN else None, rules.accepted_nights),
        _last(past.golden_ms, golden_ms, rules.accepted_nights),
        _last(past.ratios, ratio if judged else None, rules.series_nights - 1),
    )


def _last(values: tuple[float, ...], new: float | None, kept: int) -> tuple[float, ...]:
    return (values if new is None else (*values, new))[-kept:]
