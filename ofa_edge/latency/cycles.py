"""The analytic form fitted to cycles that a compiler told: of a few networks, for all of a space."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import Operator
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering, amounts
from ofa_edge.latency.protocol import Z50, Z90

LOWERING = Lowering(activation_bytes=1, weight_bytes=1)
UNSURE = 0.2  # of ln(coefficient): networks of other spaces lean on other shares of the terms
LEAST_SCATTER = 0.02  # of ln(cycles)


@dataclasses.dataclass(frozen=True)
class CycleFit:
    """A fit, and how far it is off for networks that it has not seen.

    Attributes:
        coefficients: milliseconds of the compiler's cycles by amounts of each term.
        errors: ln(compiled / predicted) of the networks held out.
        likely: predictions for these, in milliseconds.
    """

    coefficients: Coefficients
    errors: NDArray[np.float64]
    likely: NDArray[np.float64]

    @property
    def mape(self) -> float:
        """Mean absolute percentage error of the networks held out, as a fraction."""
        return float(np.mean(np.abs(np.exp(-self.errors) - 1)))


def fit_cycles(networks: Sequence[Sequence[Operator]], ms: NDArray[np.float64], held_out: int) -> CycleFit:
    """Least squares of relative errors, no coefficient below 0.

    Args:
        networks: operators of each.
        ms: milliseconds of their cycles: [N].
        held_out: how many of the last are not fitted to.
    """
    from scipy.optimize import nnls

    terms = np.array([amounts(each, LOWERING) for each in networks])
    terms[:, -1] = 1.0
    count = len(ms) - held_out
    found, _ = nnls(terms[:count] / ms[:count, None], np.ones(count))
    likely = terms[count:] @ found
    errors = np.log(ms[count:] / likely)
    scatter = max(LEAST_SCATTER, float(np.std(errors)))
    covariance = UNSURE**2 * np.eye(len(TERMS))
    return CycleFit(Coefficients(found, covariance, scatter, Z50, Z90, LOWERING), errors, likely)
