"""A target's latency file against its table of hardware: whether a model computes faster than the hardware can."""

import math
from collections.abc import Iterator

from ofa_edge.latency.analytic import TERMS
from ofa_edge.latency.load import CoefficientFacts, FittedFacts, TableFacts, read_latency_file
from ofa_edge.latency.protocol import Z90, Key
from ofa_edge.target_schema import Hardware
from ofa_edge.targets import Target

_ARITHMETIC = ("conv", "pointwise")  # milliseconds per million MACs: 1 / that is 1e9 MACs a second


def beyond_peak(target: Target) -> Iterator[tuple[str, bool]]:
    """Models of the latency file that the hardware table contradicts.

    Returns:
        For each: what is wrong, in words; and whether even the slow end of the coefficient's 90 % interval is faster
        than the peak, so that one of the two files must be wrong.

    Raises:
        ConfigError: the latency file is damaged.
    """
    for model in read_latency_file(target.latency_path).models:
        if isinstance(model, TableFacts):
            continue  # whole blocks: no rate of arithmetic follows from one
        facts: CoefficientFacts = model.prior if isinstance(model, FittedFacts) else model
        yield from _too_fast(facts, model.key, target.hardware)


def _too_fast(facts: CoefficientFacts, key: Key, hardware: Hardware) -> Iterator[tuple[str, bool]]:
    peak = hardware.peak_gmacs(key.precision)
    for term in _ARITHMETIC:
        ms = facts.coefficients[term]
        place = TERMS.index(term)
        reach = math.exp(Z90 * math.sqrt(max(facts.log_covariance[place][place], 0.0)))
        if ms == 0:
            words = f"{key.runtime} {key.precision}, {key.threads} threads: {term} takes no time at all"
            yield f"{words}, and the hardware's peak is {peak:.4g} G MAC/s", True
        elif 1 / ms > peak:
            slow = 1 / (ms * reach)
            words = (
                f"{key.runtime} {key.precision}, {key.threads} threads: {term} at {1 / ms:.4g} G MAC/s "
                f"({slow:.4g} at the slow end of 90 %), and the hardware's peak is {peak:.4g}"
            )
            yield words, slow > peak
