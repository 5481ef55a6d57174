"""How far one stage's answers are from another's: one pure function and its frozen result."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.metrics import SNR_LIMIT_DB, argmax, power, snr_db

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Difference:
    """A candidate's logits against the reference's. All values are finite.

    Attributes:
        max_abs: the largest absolute difference of one logit; float32's largest number where the candidate has a NaN
            or an infinity.
        snr_db: 10 log10(sum reference^2 / sum (reference - candidate)^2), within +-999; 999 where nothing differs,
            -999 where the candidate is not finite, or the reference is all zeros and the candidate is not.
        argmax_agreement: share of rows, 0..1, whose largest logit stands in the same place.
    """

    max_abs: float
    snr_db: float
    argmax_agreement: float

    def to_json(self) -> dict[str, float]:
        """The manifest's entry."""
        return asdict(self)


def compare(reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> Difference:
    """Compare two arrays of logits, both [N, classes], of the same images.

    Raises:
        ValueError: the shapes differ, there is no row, or the reference itself is not finite.

    Example:
        >>> compare(np.array([[0.0, 2.0]]), np.array([[0.0, 1.8]])).argmax_agreement
        1.0
    """
    if reference.shape != candidate.shape or reference.ndim != 2 or not reference.size:
        raise ValueError(f"cannot compare logits of shapes {reference.shape} and {candidate.shape}")
    if not np.isfinite(reference).all():
        raise ValueError("the reference has logits that are not finite")
    left, right = reference.astype(np.float64), candidate.astype(np.float64)
    agreement = float(np.mean(argmax(left) == argmax(right)))
    if not np.isfinite(right).all():
        return Difference(_LARGEST, -SNR_LIMIT_DB, agreement)
    noise = left - right
    return Difference(float(np.abs(noise).max()), snr_db(power(left), power(noise)), agreement)
