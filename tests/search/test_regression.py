"""Evidence-chosen linear regression."""

import numpy as np
import pytest

from ofa_edge.search.regression import fit_linear


def data(noise: float, count: int = 120, seed: int = 0):
    """Sixty weak columns, of which one alone would overfit, and three strong ones."""
    rng = np.random.default_rng(seed)
    features = np.hstack([rng.integers(0, 2, (count, 60)), rng.normal(3, 2, (count, 3))]).astype(float)
    weights = np.concatenate([rng.normal(0, 0.02, 60), [1.0, -0.5, 0.3]])
    return features, features @ weights + 7 + rng.normal(0, noise, count), features @ weights + 7


def test_without_noise_it_is_exact() -> None:
    features, target, _ = data(noise=0.0)
    model = fit_linear(features, target, 60)
    assert features @ model.weights + model.bias == pytest.approx(target, abs=1e-2)


def test_noise_is_not_fitted() -> None:
    features, target, truth = data(noise=0.5)
    model = fit_linear(features, target, 60)
    error = np.sqrt(np.mean((features @ model.weights + model.bias - truth) ** 2))
    plain = np.linalg.lstsq(np.hstack([features, np.ones((120, 1))]), target, rcond=None)[0]
    plain_error = np.sqrt(np.mean((features @ plain[:-1] + plain[-1] - truth) ** 2))
    assert error < 0.6 * plain_error
    assert model.weights[-3:] == pytest.approx([1.0, -0.5, 0.3], abs=0.12)


def test_a_constant_column_and_a_constant_target_do_no_harm() -> None:
    features, target, _ = data(noise=0.1)
    features[:, 5] = 3.0
    model = fit_linear(features, target, 60)
    assert model.weights[5] == 0
    flat = fit_linear(features, np.full(120, 0.9), 60)
    assert features @ flat.weights + flat.bias == pytest.approx(0.9)


def test_units_of_a_column_do_not_matter() -> None:
    features, target, _ = data(noise=0.3)
    scaled = features * np.where(np.arange(63) == 61, 1000.0, 1.0) + 5
    first, second = fit_linear(features, target, 60), fit_linear(scaled, target, 60)
    assert features @ first.weights + first.bias == pytest.approx(scaled @ second.weights + second.bias)
