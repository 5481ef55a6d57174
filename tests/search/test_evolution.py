"""Evolutionary search against enumeration, against dynamic programming, and on bad input."""

import math

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, best_capacity, every_genome, latency

from ofa_edge.cost import macs_table
from ofa_edge.errors import BudgetError
from ofa_edge.search.evolution import SearchOptions, SearchResult, default_budget, search
from ofa_edge.search.fit import BudgetFit
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space

SHORT = SearchOptions(evaluations=3000)


class Counter:
    """Passes calls on and keeps what it was asked for."""

    def __init__(self, score) -> None:
        self.score, self.asked = score, []

    def __call__(self, genomes: Genomes) -> np.ndarray:
        self.asked.append(genomes.copy())
        return self.score(genomes)


def run(space: Space = FASHION, fraction: float = 0.6, seed: int = 0, options: SearchOptions = SHORT) -> SearchResult:
    budget = default_budget(space, latency(space), fraction)
    return search(space, latency(space), accuracy(space), budget, seed=seed, options=options)


def test_the_default_budget_is_a_fraction_of_the_largest() -> None:
    largest = latency(FASHION)(FASHION.genome([FASHION.largest()]))[0]
    assert default_budget(FASHION, latency(FASHION), 0.6) == pytest.approx(0.6 * largest)


@pytest.mark.parametrize("fraction", [0.5, 0.7, 1.0])
def test_a_small_space_is_solved(fraction: float) -> None:
    everything = every_genome(TINY)
    times, scores = latency(TINY)(everything), accuracy(TINY)(everything)
    result = run(TINY, fraction, options=SearchOptions(evaluations=6000, population=200))
    assert result.best[0].accuracy == scores[times <= result.budget_ms].max()


@pytest.mark.parametrize("family", ["ofa_proxyless", "ofa_resnet"])
def test_the_other_families_are_searched_within_the_budget(family: str) -> None:
    space = Space.of(family, "small", width_mult=0.25, resolutions=(64, 96))
    table = macs_table(space)
    times = latency(space)
    budget = default_budget(space, times, 0.6)
    result = search(space, times, lambda rows: np.log(table(rows)[:, 0]), budget, options=SHORT)
    assert all(space.check(each.subnet) and each.latency_ms <= budget for each in result.best)
    random = space.sample(np.random.default_rng(9), 3000)
    within = table(random[times(random) <= budget])[:, 0]
    assert result.best[0].accuracy > np.log(within.max())


@pytest.mark.parametrize("fraction", [0.35, 0.6])
def test_a_large_space_is_solved_almost(fraction: float) -> None:
    budget = default_budget(FASHION, latency(FASHION), fraction)
    feasible, bound = (0.95 - 0.25 * math.exp(-gain / 9) for gain in best_capacity(FASHION, budget))
    assert feasible <= bound < feasible + 1e-4
    best = run(FASHION, fraction, options=SearchOptions()).best[0].accuracy
    assert bound - 0.0015 < best <= bound + 1e-12


def test_no_subnet_is_evaluated_twice_and_the_limit_is_kept() -> None:
    counted = Counter(accuracy(FASHION))
    budget = default_budget(FASHION, latency(FASHION), 0.5)
    result = search(FASHION, latency(FASHION), counted, budget, options=SHORT)
    asked = np.concatenate(counted.asked)
    assert len(np.unique(asked, axis=0)) == len(asked) == result.evaluations == SHORT.evaluations
    assert (asked == FASHION.canonical(asked)).all()


def test_a_space_that_is_searched_out_ends_the_search() -> None:
    space = Space("two", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20,), kernels=(3, 5), expands=(3,), depths=(1,))
    result = search(space, latency(space), accuracy(space), 1e9, options=SHORT)
    assert result.evaluations == 2**5
    assert len(result.best) == 16


def test_candidates_are_distinct_feasible_and_in_order() -> None:
    result = run()
    genomes = FASHION.genome(candidate.subnet for candidate in result.best)
    assert len({candidate.subnet for candidate in result.best}) == len(result.best) == 16
    assert np.array([candidate.latency_ms for candidate in result.best]) == pytest.approx(latency(FASHION)(genomes))
    assert np.array([candidate.accuracy for candidate in result.best]) == pytest.approx(accuracy(FASHION)(genomes))
    assert all(candidate.latency_ms <= result.budget_ms for candidate in result.best)
    accuracies = [candidate.accuracy for candidate in result.best]
    assert accuracies == sorted(accuracies, reverse=True)


def test_candidates_can_be_spread() -> None:
    result = run(options=SearchOptions(evaluations=3000, distance=6, top=8))
    genomes = FASHION.genome(candidate.subnet for candidate in result.best)
    apart = (genomes[:, None] != genomes[None]).sum(axis=2)[np.triu_indices(8, 1)]
    assert apart.min() >= 6
    assert result.best[0] == run().best[0]


def test_the_front_is_a_front_from_the_fastest_upwards() -> None:
    result = run()
    times = np.array([point.latency_ms for point in result.front])
    scores = np.array([point.accuracy for point in result.front])
    assert pareto_front(times, scores).tolist() == list(range(len(times)))
    assert times[0] == result.fastest.latency_ms
    assert times[-1] > 1.3 * result.budget_ms  # it goes on above the budget
    assert scores[times <= result.budget_ms].max() == result.best[0].accuracy
    inner = (times > 0.3 * times[-1]) & (times < 0.9 * times[-1])
    assert inner.sum() > 10


def test_a_seed_makes_it_repeatable() -> None:
    assert run(seed=3) == run(seed=3)
    assert run(seed=3).progress != run(seed=4).progress


def test_progress_only_rises() -> None:
    progress = np.array(run().progress)
    assert (np.diff(progress, axis=0) >= 0).all()
    assert progress[-1, 1] > progress[0, 1]


def test_the_inputs_are_left_alone() -> None:
    def strict(genomes: Genomes) -> np.ndarray:
        genomes.setflags(write=False)
        return accuracy(FASHION)(genomes)

    budget = default_budget(FASHION, latency(FASHION), 0.5)
    search(FASHION, latency(FASHION), strict, budget, options=SearchOptions(evaluations=500))


@pytest.mark.parametrize("budget", [0.1, 0.0, -1.0, math.nan])
def test_an_impossible_budget_names_the_fastest_subnet(budget: float) -> None:
    counted = Counter(accuracy(TINY))
    with pytest.raises(BudgetError) as caught:
        search(TINY, latency(TINY), counted, budget)
    everything = every_genome(TINY)
    times = latency(TINY)(everything)
    fastest = TINY.subnet(everything[times.argmin()])
    assert fastest.id in caught.value.why
    assert f"{times.min():.4g} ms" in caught.value.why
    assert counted.asked == []
    flag, hint = caught.value.hint.split(",")[0].split()
    assert flag == "--latency-ms"
    assert times.min() <= float(hint) < 1.02 * times.min()
    assert search(TINY, latency(TINY), accuracy(TINY), float(hint), options=SHORT).best[0].latency_ms <= float(hint)


def test_the_tightest_budget_has_one_answer() -> None:
    times = latency(TINY)(every_genome(TINY))
    result = search(TINY, latency(TINY), accuracy(TINY), float(times.min()), options=SHORT)
    assert [candidate.latency_ms for candidate in result.best] == [times.min()]
    assert result.best[0] == result.fastest


@pytest.mark.parametrize("wrong", [lambda genomes: np.full(len(genomes), np.nan), lambda genomes: np.zeros(3)])
def test_a_predictor_that_answers_nonsense_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        search(TINY, latency(TINY), wrong, 1e9)


# -- fitting to budgets --------------------------------------------------------------------------------------------


def test_every_genome_is_made_to_fit_its_own_budget() -> None:
    rng = np.random.default_rng(0)
    fit = BudgetFit(FASHION, latency(FASHION))
    genomes = FASHION.sample(rng, 500)
    limits = rng.uniform(fit.fastest_ms.min(), fit.largest_ms.max(), 500)
    before, after = latency(FASHION)(genomes), latency(FASHION)(fitted := fit(genomes, limits, rng, grow=0.0))
    assert (after <= limits).all()
    assert (fitted == FASHION.canonical(fitted)).all()
    slow = before > limits
    assert (fitted[~slow] == genomes[~slow]).all()
    assert np.median((after / limits)[slow]) > 0.9  # mended, not thrown back to the smallest


def test_growing_fills_the_budget() -> None:
    rng = np.random.default_rng(0)
    fit = BudgetFit(FASHION, latency(FASHION))
    genomes = FASHION.sample(rng, 500)
    limits = np.full(500, 0.8 * fit.largest_ms.max())
    grown = latency(FASHION)(fit(genomes, limits, rng, grow=1.0))
    assert (grown <= limits).all()
    assert np.median(grown) > 1.2 * np.median(latency(FASHION)(genomes))
