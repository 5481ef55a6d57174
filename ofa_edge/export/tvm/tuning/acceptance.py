"""When is one schedule faster than another? A rule for times that other programs disturb.

Both take turns in one process, so that each round is a pair under the same conditions. How large a disturbance is says
nothing, which of the two was faster says a little: the sign test counts rounds, and a few wild ones change nothing.

Where code and tensors happen to lie in memory makes equal functions differ by a per cent or two in every round, which
no test over rounds can see. So both are there several times, at addresses of their own, and a gain must exceed what
the copies of the base differ among themselves.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.01
"""How often the rule may call equal schedules different."""
LEAST_GAIN = 0.02
"""A function that gains less is not worth remembering."""


@dataclass(frozen=True)
class Comparison:
    """A candidate against what it would replace.

    Attributes:
        ratio: median over rounds of candidate / base; below 1 the candidate is faster.
        wins: rounds in which the candidate was faster; a tie is none.
        rounds: pairs.
        chance: probability of as many wins or more if both were equal (one-sided sign test).
        placement: how much copies of the base differ, as a share of its time.
    """

    ratio: float
    wins: int
    rounds: int
    chance: float
    placement: float = 0.0

    def faster(self, least_gain: float = LEAST_GAIN, alpha: float = ALPHA) -> bool:
        """Whether the candidate wins: by more than `least_gain` and placement, in too many rounds to be chance."""
        return self.ratio < 1 - max(least_gain, self.placement) and self.chance <= alpha


def compare(base: NDArray[np.float64], candidate: NDArray[np.float64]) -> Comparison:
    """Compare times [rounds] of two that took turns.

    Raises:
        ValueError: no rounds, or not as many of each.
    """
    if base.shape != candidate.shape or base.ndim != 1 or len(base) == 0:
        raise ValueError(f"rounds do not pair: {base.shape}, {candidate.shape}")
    rounds, wins = len(base), int(np.count_nonzero(candidate < base))
    chance = sum(math.comb(rounds, k) for k in range(wins, rounds + 1)) / 2**rounds
    return Comparison(float(np.median(candidate / base)), wins, rounds, chance)


def compare_copies(base: NDArray[np.float64], candidate: NDArray[np.float64]) -> Comparison:
    """Compare times [rounds, copies]; a round's figure is the median of its copies."""
    medians = np.median(base, axis=0)
    placement = float((medians.max() - medians.min()) / np.median(medians))
    return replace(compare(np.median(base, axis=1), np.median(candidate, axis=1)), placement=placement)
