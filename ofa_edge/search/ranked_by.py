"""What a search goes by: the accuracy predictor where it earns that, MACs where it does not, or what the user says."""

from dataclasses import dataclass
from typing import Literal

from ofa_edge.errors import ConfigError
from ofa_edge.search.load_predictor import Predictor
from ofa_edge.search.predictor import AccuracyPredictor, HeldOut

Choice = Literal["auto", "use", "macs"]
_AGAIN = "ofa-edge predictor train --supernet DIR --pairs N with more pairs"


@dataclass(frozen=True)
class RankedBy:
    """What orders the subnets of a search, and why.

    Attributes:
        by: `macs` also where a line over MACs stands in for a predictor.
        why: with the figures, as the end of "goes by MACs: ...".
        predictor: gives top-1; None where nothing does, and MACs themselves are the score.
        measures_more: whether the choice is left to measurement, of more candidates than with a predictor.
    """

    by: Literal["predictor", "macs"]
    why: str
    predictor: Predictor | None
    measures_more: bool = False

    def __str__(self) -> str:
        return f"goes by {'the accuracy predictor' if self.by == 'predictor' else 'MACs'}: {self.why}"


def ranked_by(predictor: Predictor | None, choice: Choice = "auto") -> RankedBy:
    """Decide it, by the rule of `ranking.Ranking.earned`.

    Where pairs are too noisy to tell, a predictor that leans on that of the supernet which its own was moved from is
    used as well: that one earned it, by this rule, on its own pairs.

    Args:
        predictor: the supernet's, if it has one.
        choice: `auto` goes by the rule, `use` by the predictor and `macs` by MACs whatever the rule says. A published
            predictor comes without pairs, so the rule says nothing about it, and `auto` uses it.

    Raises:
        ConfigError: `use` without a predictor, or one that has no order and nothing to stand in for it.
    """
    if predictor is None:
        if choice == "use":
            raise ConfigError("--predictor use: the supernet has none", "there is nothing to use", "leave it out")
        return RankedBy("macs", "nothing predicts accuracy", None)
    if not isinstance(predictor, AccuracyPredictor):
        if choice == "macs":
            return RankedBy("macs", "--predictor macs", None)
        return RankedBy("predictor", "a published one, whose error was not measured here", predictor)
    held_out = predictor.held_out
    why = _words(held_out)
    if choice == "use":
        return RankedBy("predictor", f"--predictor use; {why}", predictor)
    earned = held_out.ranking.earned if held_out.ranking is not None else held_out.kendall > 0
    stands_in = not earned and _prior_stands(held_out)
    if stands_in:
        own = f"{held_out.prior_kendall:.2f} on its own"
        why += f"; that of the supernet which this one was moved from stands in: {own}"
    if choice == "auto" and (earned or stands_in):
        return RankedBy("predictor", why, predictor)
    if predictor.macs is None:
        raise ConfigError(
            "the accuracy predictor cannot be used",
            f"{why}; and its file, of an older version, does not hold what MACs say in its place",
            f"{_AGAIN}, or --predictor use",
        )
    return RankedBy("macs", f"--predictor macs; {why}" if choice == "macs" else why, predictor.macs, True)


def _prior_stands(held_out: HeldOut) -> bool:
    """Whether a ranking that was earned before is not contradicted by pairs that cannot tell."""
    known = held_out.ranking
    return held_out.prior_kendall is not None and known is not None and known.kendall_low95 <= 0 < known.kendall_high95


def _words(held_out: HeldOut) -> str:
    """How well the predictor ranks, beside MACs, in words."""
    known = held_out.ranking
    images = "" if held_out.images is None else f", {held_out.images} images each,"
    tau = f"the predictor's Kendall's tau on {held_out.pairs} held-out subnets{images} is {held_out.kendall:.2f}"
    if known is None:
        return f"{tau}; how MACs rank them is not known"
    words = f"{tau} ({known.kendall_low95:.2f} .. {known.kendall_high95:.2f} at 95 %), that of MACs "
    words += f"{known.kendall_macs:.2f}"
    if not known.kendall_low95 > 0:
        return f"{words}: it may have no order at all"
    gain = f"{known.gain:+.2f} ({known.gain_low95:+.2f} .. {known.gain_high95:+.2f})"
    if not known.gain > 0:
        return f"{words}: it ranks no better than they do, {gain}"
    return f"{words}: it ranks better, {gain}" + ("" if known.gain_low95 > 0 else ", which may be chance")
