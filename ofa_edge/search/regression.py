"""Linear regression for few, noisy pairs: Gaussian priors on two groups of weights, their widths chosen by evidence.

The first group is many small effects (which kernel in which block), the second a few large ones (how deep, how many
MACs). One prior width for both would drown the second or overfit the first.
Source: C. Bishop, Pattern Recognition and Machine Learning, section 3.5 (the evidence approximation).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROUP_RATIOS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # prior variance of the first group to that of the second
NOISE_RATIOS = 10.0 ** np.arange(-5, 3, 0.25)  # variance of the noise to the prior variance of the second group


@dataclass(frozen=True)
class LinearModel:
    """`bias + features @ weights`, in the units of the data."""

    weights: Floats  # [F]
    bias: float


def fit_linear(features: Floats, target: Floats, first_group: int) -> LinearModel:
    """Fit `target` [N] to `features` [N, F], of which the first `first_group` columns are the first group."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    sizes = np.where(np.arange(features.shape[1]) < first_group, first_group, features.shape[1] - first_group)
    scale = np.where(spread > 1e-9, 1 / (np.maximum(spread, 1e-9) * np.sqrt(sizes)), 0.0)  # constant: weight 0
    centred, residual = (features - mean) * scale, target - target.mean()
    best = (np.inf, np.zeros(features.shape[1]))
    for ratio in GROUP_RATIOS:
        prior = np.where(np.arange(features.shape[1]) < first_group, np.sqrt(ratio), 1.0)
        left, singular, right = np.linalg.svd(centred * prior, full_matrices=False)
        inside = left.T @ residual
        outside = max(residual @ residual - inside @ inside, 0.0)
        for noise in NOISE_RATIOS:
            # -2 log p(target | ratios), the overall variance maximised away; noise * I + K has eigenvalues in `gains`.
            gains = singular**2 / noise + 1
            misfit = max(float((inside**2 / gains).sum() + outside), 1e-30)
            cost = len(target) * np.log(misfit) + np.log(gains).sum()
            if cost < best[0]:
                weights = prior * (right.T @ (singular / (singular**2 + noise) * inside))
                best = (cost, weights)
    weights = best[1] * scale
    return LinearModel(weights, float(target.mean() - mean @ weights))
