"""Whether a night's latency regressed: golden against candidate, in A B B A pairs.

The usual gates cry wolf because a device is never twice in the same state. Here golden and candidate take turns within
minutes, the scatter of the pairs and the device's own past say what can be seen at all, and nothing is RED that a
second run after a pause does not confirm. All ratios are natural logarithms of candidate over golden; + is slower.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import mad
from ofa_edge.verify.change_point import ChangePoint, find_change
from ofa_edge.verify.rank_tests import signed_rank_p, smallest_significant_shift

Floats = NDArray[np.float64]


class Colour(StrEnum):
    """A verdict of a night, heaviest first."""

    RED = "RED"
    YELLOW = "YELLOW"
    INCONCLUSIVE = "INCONCLUSIVE"
    GREEN = "GREEN"


@dataclass(frozen=True)
class Rules:
    """The gate's thresholds. Ratios are plain (0.05 is 5 %), times are in nights."""

    pairs: int = 8
    least_pairs: int = 6
    least_effect: float = 0.05  # of a RED
    mads: float = 3.0  # of the series' accepted A/A ratios
    accepted_nights: int = 20  # whose A/A ratios count
    alpha: float = 0.01
    suspicion: float = 0.05  # p of a first run that asks for a second
    retries: int = 2  # further runs where one proves nothing because of noise or lost sessions
    least_notice: float = 0.01  # evidence for less than this is not worth a YELLOW
    series_nights: int = 30
    change_alpha: float = 0.001
    change_effect: float = 0.03
    golden_move: float = 0.05  # or `mads` of the golden's own nights, where it moves more
    most_visible: float = 0.15  # a night that could not have seen this much is INCONCLUSIVE


DEFAULT_RULES = Rules()


@dataclass(frozen=True)
class Sessions:
    """One run: the median latency of each session in milliseconds, NaN where it is invalid.

    Attributes:
        golden, candidate: [pairs], pair i of both taken one after the other; the order turns over from pair to pair.
    """

    golden: tuple[float, ...]
    candidate: tuple[float, ...]

    @property
    def log_ratios(self) -> Floats:
        """[valid pairs] of candidate over golden."""
        golden, candidate = np.array(self.golden, np.float64), np.array(self.candidate, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Floats = np.log(candidate) - np.log(golden)
        valid: Floats = ratios[np.isfinite(ratios)]
        return valid

    @property
    def golden_ms(self) -> float:
        """The golden's level: the median of its valid sessions, NaN without any."""
        valid = [value for value in self.golden if math.isfinite(value)]
        return float(np.median(valid)) if valid else math.nan

    @property
    def aa_ratio(self) -> float | None:
        """What this night's gate would have said of golden against golden; None with too few sessions.

        In A B B A A B B A the goldens of each four stand at its ends: a pair like any other, only further apart, which
        errs towards more scatter. Half as many pairs scatter by the square root of 2 more, which is taken off.
        """
        values = np.log(np.array(self.golden, np.float64))
        blocks = len(values) // 2
        pairs = values[1 : 2 * blocks : 2] - values[0 : 2 * blocks : 2]
        pairs[1::2] *= -1.0  # so that a drift does not look like a difference
        pairs = pairs[np.isfinite(pairs)]
        return float(np.median(pairs)) / math.sqrt(2.0) if len(pairs) >= 2 else None


def is_golden(position: int) -> bool:
    """Whether the session at this place of A B B A A B B A ... measures the golden."""
    return position % 4 in (0, 3)


def in_pairs(figures: Sequence[float]) -> Sessions:
    """Sort sessions that were measured in the order of `is_golden` into pairs; a last odd one is left out."""
    places = range(len(figures) - len(figures) % 2)
    golden = tuple(figures[place] for place in places if is_golden(place))
    return Sessions(golden, tuple(figures[place] for place in places if not is_golden(place)))


@dataclass(frozen=True)
class Past:
    """What history knows of one series since its baseline epoch began, oldest first.

    Attributes:
        fingerprint: of the device, that the epoch began with; None before the first night.
        aa_ratios: of accepted nights (GREEN ones).
        golden_ms: the golden's level on each night that had enough pairs.
        ratios: the night's log ratio on each night that was not INCONCLUSIVE.
    """

    fingerprint: str | None = None
    aa_ratios: tuple[float, ...] = ()
    golden_ms: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True)
class Look:
    """What one run shows of one series.

    Attributes:
        log_ratios: of the valid pairs.
        ratio: their median; NaN without pairs.
        p: of the exact one-sided signed-rank test.
        threshold: log ratio from which the effect counts.
        visible: the smallest log ratio that this run could have called RED; infinite without pairs.
        blocked: why the run proves nothing, as (reason code, words).
    """

    log_ratios: tuple[float, ...]
    ratio: float
    p: float
    threshold: float
    visible: float
    golden_ms: float
    aa_ratio: float | None
    change: ChangePoint | None = None
    blocked: tuple[str, str] | None = None

    def has_effect(self) -> bool:
        """The effect is larger than the threshold."""
        return self.blocked is None and self.ratio > self.threshold

    def has_evidence(self, rules: Rules = DEFAULT_RULES) -> bool:
        """The pairs agree as far as so few can: p at most alpha, or all of them up."""
        reachable = max(rules.alpha, 0.5 ** len(self.log_ratios))
        return self.blocked is None and self.p <= reachable

    def suspected(self, rules: Rules = DEFAULT_RULES) -> bool:
        """An effect with some evidence: a fresh run must decide."""
        return self.has_effect() and self.p <= rules.suspicion

    def worth_another(self) -> bool:
        """The run was blocked by what may be over in some minutes."""
        return self.blocked is not None and self.blocked[0] in ("too-few-pairs", "too-noisy", "golden-moved")


def look(
    sessions: Sessions, past: Past, fingerprint: str, rules: Rules = DEFAULT_RULES, *, is_rerun: bool = False
) -> Look:
    """What a run shows against the series' past.

    Args:
        sessions: of the run.
        past: of the series.
        fingerprint: of the device tonight.
        rules: thresholds.
        is_rerun: a second run of the same night, which adds no night to the series.
    """
    ratios = sessions.log_ratios
    ratio = float(np.median(ratios)) if ratios.size else math.nan
    threshold = _threshold(ratios, past, rules)
    visible = max(threshold, smallest_significant_shift(ratios, rules.alpha)) if ratios.size else math.inf
    found = Look(
        tuple(ratios.tolist()), ratio, signed_rank_p(ratios), threshold, visible, sessions.golden_ms, sessions.aa_ratio
    )
    blocked = _blocked(found, past, fingerprint, rules)
    if blocked is not None or is_rerun:
        return replace(found, blocked=blocked)
    series = np.array([*past.ratios[-(rules.series_nights - 1) :], ratio])
    return replace(found, change=find_change(series))


def _threshold(ratios: Floats, past: Past, rules: Rules) -> float:
    """Log ratio that counts as an effect: the least one, or what this series' golden shows against itself."""
    accepted = np.array(past.aa_ratios[-rules.accepted_nights :])
    spread = mad(accepted)
    if len(accepted) < rules.accepted_nights and ratios.size:
        # A short past knows its spread badly: tonight's own scatter bounds it from below. A median of n values scatters
        # by sqrt(pi / 2n) of their standard deviation, and so do their MADs.
        spread = max(spread, mad(ratios) * math.sqrt(math.pi / 2 / len(ratios)))
    return max(math.log1p(rules.least_effect), rules.mads * spread)


def _blocked(found: Look, past: Past, fingerprint: str, rules: Rules) -> tuple[str, str] | None:
    """Why a run proves nothing either way; None where it does."""
    if len(found.log_ratios) < rules.least_pairs:
        return "too-few-pairs", f"{len(found.log_ratios)} valid pairs, {rules.least_pairs} needed"
    if past.fingerprint is not None and past.fingerprint != fingerprint:
        return "fingerprint-changed", "the device is not what it was: a new baseline epoch begins"
    if past.golden_ms:
        levels = np.log(np.array(past.golden_ms[-rules.accepted_nights :]))
        moved = math.log(found.golden_ms) - float(np.median(levels))
        if abs(moved) > max(math.log1p(rules.golden_move), rules.mads * mad(levels)):
            words = f"the golden itself took {found.golden_ms:.4g} ms, {math.expm1(moved):+.1%} on its usual"
            return "golden-moved", words
    if found.visible > math.log1p(rules.most_visible):
        seen = math.expm1(found.visible)
        return "too-noisy", f"a regression under {seen:.1%} could not be seen, {rules.most_visible:.0%} is the limit"
    return None
