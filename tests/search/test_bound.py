"""The upper bound against everything that there is, in spaces small enough to enumerate."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscapes import FASHION, TINY, accuracy, best_capacity, every_genome, gain_table, latency, latency_table

from ofa_edge.cost import macs_table
from ofa_edge.search.bound import LagrangianBound, LogCurve, SeparableAccuracy, upper_bound
from ofa_edge.search.evolution import SearchOptions, default_budget, search_front
from ofa_edge.search.front import NoBound
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Genomes, Space

SHALLOW = Space("shallow", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 28), kernels=(3, 5), expands=(3, 4), depths=(1,))


def scaled(table, factor: float):
    return lambda genomes: factor * table(genomes)[:, 0]


def made_up(space: Space, seed: int, linear: float, square: float, size: float) -> SeparableAccuracy:
    macs = macs_table(space)
    return SeparableAccuracy(
        scaled(gain_table(space, seed), size), lambda rows: macs(rows)[:, 0], LogCurve(linear, square, 16.0)
    )


def value(form: SeparableAccuracy, genomes: Genomes) -> np.ndarray:
    return form.gain(genomes) + form.curve(form.inner(genomes))


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([SHALLOW, TINY]),
    st.integers(0, 10_000),
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.sampled_from([0.0, 1e-4, 0.01, 1.0]),
    st.lists(st.floats(0.0, 1.2), min_size=1, max_size=4),
)
def test_no_subnet_of_any_budget_exceeds_it(space, seed, linear, square, size, fractions) -> None:
    form, times = made_up(space, seed, linear, square, size), latency_table(space, seed)
    everything = every_genome(space)
    cost, scores = times(everything)[:, 0], value(form, everything)
    tight = np.geomspace(cost.min(), cost.max(), 6)
    bound = upper_bound(space, lambda rows: times(rows)[:, 0], form, tight)
    assert isinstance(bound, LagrangianBound)
    for budget in [*tight, *(cost.min() + each * (cost.max() - cost.min()) for each in fractions)]:
        within = scores[cost <= budget]
        assert bound.at(float(budget)) >= (within.max() if len(within) else -np.inf)


def test_it_is_tight_where_the_budget_does_not_bind() -> None:
    form = made_up(TINY, 3, 0.05, -0.01, 0.01)
    everything = every_genome(TINY)
    cost, scores = latency(TINY)(everything), value(form, everything)
    bound = upper_bound(TINY, latency(TINY), form, np.array([2 * cost.max()]))
    assert bound.at(2 * float(cost.max())) == pytest.approx(scores.max(), abs=1e-4)


def test_below_the_fastest_subnet_there_is_nothing() -> None:
    form = made_up(TINY, 3, 0.0, 0.0, 0.01)
    least = float(latency(TINY)(every_genome(TINY)).min())
    bound = upper_bound(TINY, latency(TINY), form, np.array([least]))
    assert bound.at(0.99 * least) == -math.inf
    assert math.isfinite(bound.at(least))


def test_it_agrees_with_dynamic_programming() -> None:
    """The integer optimum lies between what the knapsack found and its bound; the relaxation may not lie below."""
    form = SeparableAccuracy(
        scaled(gain_table(FASHION), 1.0), lambda rows: macs_table(FASHION)(rows)[:, 0], LogCurve(0.0, 0.0, 0.0)
    )
    budget = default_budget(FASHION, latency(FASHION), 0.5)
    feasible, most = best_capacity(FASHION, budget)
    bound = upper_bound(FASHION, latency(FASHION), form, np.array([budget]))
    assert feasible <= bound.at(budget) < most + 0.05


def test_the_search_prints_a_small_gap_with_the_fitted_predictor() -> None:
    rng = np.random.default_rng(0)
    genomes = FASHION.sample(rng, 300)
    predictor = AccuracyPredictor.fit(FASHION, genomes, accuracy(FASHION)(genomes) + rng.normal(0, 0.002, 300))
    assert value(predictor.separable, genomes) == pytest.approx(predictor.predict(genomes), abs=1e-12)
    options = SearchOptions(evaluations=3000)
    front = search_front(FASHION, latency(FASHION), predictor.predict, separable=predictor.separable, options=options)
    for fraction in (0.4, 0.6, 0.8, 1.0):
        assert 0 <= front.gap(default_budget(FASHION, latency(FASHION), fraction)) < 0.003
    assert all(front.bound.at(point.latency_ms) >= point.accuracy for point in front.points)


def test_where_nothing_is_a_sum_there_is_no_bound_and_a_reason() -> None:
    form, budgets = made_up(TINY, 0, 0.0, 0.0, 1.0), np.array([1.0])
    squared = upper_bound(TINY, lambda rows: latency(TINY)(rows) ** 2, form, budgets)
    assert squared == NoBound("the latency model is not a sum over blocks")
    bent = SeparableAccuracy(lambda rows: form.gain(rows) ** 2, form.inner, form.curve)
    assert upper_bound(TINY, latency(TINY), bent, budgets) == NoBound("the accuracy predictor is not a sum over blocks")
    resnet = Space.of("ofa_resnet", "resnet", width_mult=0.25, resolutions=(64,))
    assert "widths are elastic" in upper_bound(resnet, latency(resnet), form, budgets).reason
