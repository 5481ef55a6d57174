"""Whether an accuracy predictor earns its use: it must order subnets, and better than their MACs do.

MACs cost nothing to know and rank subnets fairly well by themselves. A predictor that does not beat them on subnets
that its fits did not see would only add its own noise to a search.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import kendall

Floats = NDArray[np.float64]
RESAMPLES, _SEED = 2000, 0


@dataclass(frozen=True)
class Ranking:
    """How surely held-out pairs are predicted and ranked, and how well MACs alone rank them.

    The intervals are 95 % percentile intervals of the paired bootstrap over the held-out pairs (B. Efron and
    R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Only the pairs are drawn again; the fits stay.

    Attributes:
        rmse_low95, rmse_high95: interval of the predictor's RMSE, in the unit of top-1, 0..1.
        kendall_low95, kendall_high95: interval of the predictor's Kendall's tau-b.
        kendall_macs: Kendall's tau-b of MACs on the same pairs, resolutions as they are.
        gain: the predictor's tau less that of MACs.
        gain_low95, gain_high95: its interval.
    """

    rmse_low95: float
    rmse_high95: float
    kendall_low95: float
    kendall_high95: float
    kendall_macs: float
    gain: float
    gain_low95: float
    gain_high95: float

    @property
    def earned(self) -> bool:
        """Whether a search may go by the predictor without being told to.

        Two things are asked for: the interval of its tau lies above 0, so that there is an order at all, and its tau is
        above that of MACs. The second is a point estimate on purpose: where both rank alike within the noise neither
        choice is wrong, and the better estimate decides. The interval of the difference is shown beside it.
        """
        return self.kendall_low95 > 0 and self.gain > 0


def rank(predicted: Floats, macs: Floats, accuracy: Floats) -> Ranking:
    """Judge predictions of held-out pairs.

    Args:
        predicted: of each pair, by a fit that did not see it: [N].
        macs: of each pair's subnet: [N].
        accuracy: as measured: [N].
    """
    count = len(accuracy)
    drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float32)
    errors = np.sqrt(drawn @ ((predicted - accuracy) ** 2) / count)
    own, theirs = taus(drawn, predicted, accuracy), taus(drawn, macs, accuracy)
    rmse, tau, gain = (np.quantile(values, (0.025, 0.975)).tolist() for values in (errors, own, own - theirs))
    of_macs = kendall(macs, accuracy)
    figures = (*rmse, *tau, of_macs, kendall(predicted, accuracy) - of_macs, *gain)
    return Ranking(*(round(value, 6) for value in figures))


def taus(drawn: NDArray[np.float32], one: Floats, other: Floats) -> Floats:
    """Kendall's tau-b of resamples, each given as how often it holds each pair [R, N]: [R]; 0 where one has no order.

    A pair that was drawn twice is tied with itself in both orders, which tau-b leaves out of its denominator.
    """
    first, second = (np.sign(values[:, None] - values).astype(np.float32) for values in (one, other))

    def summed(signs: NDArray[np.float32]) -> Floats:
        return np.asarray(np.einsum("rn,rn->r", drawn @ signs, drawn), dtype=np.float64)

    untied = np.sqrt(summed(np.abs(first)) * summed(np.abs(second)))
    return np.divide(summed(first * second), untied, out=np.zeros(len(drawn)), where=untied > 0)
