"""Which units to measure: those that make a space's networks surest for the seconds that they take.

Bayesian experimental design for a Gaussian model (Chaloner and Verdinelli, Statistical Science 10, 1995): the greedy
choice under the I-criterion, the sibling of D-optimality that weighs parameters by what is to be predicted. Each step
takes the unit that lowers the mean relative variance of random networks most per second, given those taken before.
"""

import numpy as np

from ofa_edge.latency.posterior import Floats, Units, Widths


def choose_units(
    units: Units, counts: Floats, seconds: Floats, budget_s: float, widths: Widths | None = None
) -> tuple[int, ...]:
    """Numbers of units to measure by themselves, the most telling first.

    Args:
        units: with their prior.
        counts: how often random networks run each unit: [N, U].
        seconds: what measuring each unit takes: [U]; infinite for what cannot be measured.
        budget_s: seconds for all.
        widths: of what is not known; the usual ones by default.
    """
    widths = widths or Widths()
    mean, covariance = units.alone(widths)
    covariance = covariance.copy()
    weights = counts / (counts @ mean)[:, None] / np.sqrt(len(counts))
    aimed = weights @ covariance  # [N, U]
    call = units.size - 1
    noise = (widths.unit_noise * mean) ** 2
    left = budget_s
    chosen: list[int] = []
    free = np.isfinite(seconds)
    free[call] = False
    while True:
        free &= seconds <= left
        if not free.any():
            return tuple(chosen)
        gains = _gains(covariance, aimed, noise, call)
        best = int(np.where(free, gains / seconds, -np.inf).argmax())
        seen = covariance[:, best] + covariance[:, call]
        spread = float(seen[best] + seen[call] + noise[best])
        told = aimed[:, best] + aimed[:, call]
        aimed -= told[:, None] * seen / spread
        covariance -= seen[:, None] * seen / spread
        free[best] = False
        left -= float(seconds[best])
        chosen.append(best)


def _gains(covariance: Floats, aimed: Floats, noise: Floats, call: int) -> Floats:
    """How much the mean variance falls with each unit, measured together with the call: [U]."""
    told = np.square(aimed + aimed[:, call, None]).sum(axis=0)
    spread = np.diag(covariance) + 2 * covariance[:, call] + covariance[call, call] + noise
    return np.asarray(told / np.maximum(spread, 1e-300))
