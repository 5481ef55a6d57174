"""Evolutionary search against enumeration, against dynamic programming, and on bad input."""

import math

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, best_capacity, every_genome, latency

from ofa_edge.cost import macs_table
from ofa_edge.errors import BudgetError
from ofa_edge.search.evolution import SearchOptions, default_budget, search_front
from ofa_edge.search.front import Front
from ofa_edge.search.limits import Limit
from ofa_edge.search.pareto import pareto_front
from ofa_edge.search.repair import BudgetRepair
from ofa_edge.space import Genomes, Space

SHORT = SearchOptions(evaluations=3000)


class Counter:
    """Passes calls on and keeps what it was asked for."""

    def __init__(self, score) -> None:
        self.score, self.asked = score, []

    def __call__(self, genomes: Genomes) -> np.ndarray:
        self.asked.append(genomes.copy())
        return self.score(genomes)


def run(space: Space = FASHION, fraction: float = 0.6, seed: int = 0, options: SearchOptions = SHORT) -> Front:
    focus = (default_budget(space, latency(space), fraction),)
    return search_front(space, latency(space), accuracy(space), focus=focus, seed=seed, options=options)


def test_the_default_budget_is_a_fraction_of_the_largest() -> None:
    largest = latency(FASHION)(FASHION.genome([FASHION.largest()]))[0]
    assert default_budget(FASHION, latency(FASHION), 0.6) == pytest.approx(0.6 * largest)


@pytest.mark.parametrize("fraction", [0.5, 0.7, 1.0])
def test_a_small_space_is_solved(fraction: float) -> None:
    everything = every_genome(TINY)
    times, scores = latency(TINY)(everything), accuracy(TINY)(everything)
    result = run(TINY, fraction, options=SearchOptions(evaluations=6000, population=200))
    budget = default_budget(TINY, latency(TINY), fraction)
    assert result.best(budget).accuracy == scores[times <= budget].max()


def test_the_whole_front_of_a_small_space_is_found_in_one_run() -> None:
    everything = every_genome(TINY)
    times, scores = latency(TINY)(everything), accuracy(TINY)(everything)
    result = search_front(TINY, latency(TINY), accuracy(TINY), options=SearchOptions(evaluations=4000))
    assert result.evaluations < len(everything) / 6
    for fraction in (0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        budget = default_budget(TINY, latency(TINY), fraction)
        assert result.best(budget).accuracy == pytest.approx(scores[times <= budget].max(), abs=2e-4)


@pytest.mark.parametrize("family", ["ofa_proxyless", "ofa_resnet"])
def test_the_other_families_are_searched_within_the_budget(family: str) -> None:
    space = Space.of(family, "small", width_mult=0.25, resolutions=(64, 96))
    table = macs_table(space)
    times = latency(space)
    budget = default_budget(space, times, 0.6)
    result = search_front(space, times, lambda rows: np.log(table(rows)[:, 0]), focus=(budget,), options=SHORT)
    best = result.candidates(budget)
    assert all(space.check(each.subnet) and each.latency_ms <= budget for each in best)
    random = space.sample(np.random.default_rng(9), 3000)
    within = table(random[times(random) <= budget])[:, 0]
    assert best[0].accuracy > np.log(within.max())


@pytest.mark.parametrize("fraction", [0.35, 0.6])
def test_a_large_space_is_solved_almost(fraction: float) -> None:
    budget = default_budget(FASHION, latency(FASHION), fraction)
    feasible, bound = (0.95 - 0.25 * math.exp(-gain / 9) for gain in best_capacity(FASHION, budget))
    assert feasible <= bound < feasible + 1e-4
    best = run(FASHION, fraction, options=SearchOptions()).best(budget).accuracy
    assert bound - 0.0015 < best <= bound + 1e-12


def test_no_subnet_is_evaluated_twice_and_the_limit_is_kept() -> None:
    counted = Counter(accuracy(FASHION))
    result = search_front(FASHION, latency(FASHION), counted, options=SHORT)
    asked = np.concatenate(counted.asked)
    assert len(np.unique(asked, axis=0)) == len(asked) == result.evaluations == SHORT.evaluations
    assert (asked == FASHION.canonical(asked)).all()
    assert (asked == result.genomes).all()


def test_a_space_that_is_searched_out_ends_the_search() -> None:
    space = Space("two", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20,), kernels=(3, 5), expands=(3,), depths=(1,))
    result = search_front(space, latency(space), accuracy(space), options=SHORT)
    assert 30 <= result.evaluations <= 2**5
    assert len(result.candidates(1e9)) == 16


def test_the_front_goes_from_the_fastest_to_the_largest() -> None:
    result = run()
    times = np.array([point.latency_ms for point in result.points])
    scores = np.array([point.accuracy for point in result.points])
    assert pareto_front(times, scores).tolist() == list(range(len(times)))
    assert times[0] == result.fastest.latency_ms
    assert times[-1] > 0.9 * default_budget(FASHION, latency(FASHION), 1.0)
    inner = (times > 0.3 * times[-1]) & (times < 0.9 * times[-1])
    assert inner.sum() > 10


def test_a_seed_makes_it_repeatable() -> None:
    assert run(seed=3).points == run(seed=3).points
    assert run(seed=3).progress != run(seed=4).progress


def test_progress_only_rises() -> None:
    progress = np.array(run().progress)
    assert (np.diff(progress, axis=0) >= 0).all()
    assert progress[-1, 1] > progress[0, 1]


def test_the_inputs_are_left_alone() -> None:
    def strict(genomes: Genomes) -> np.ndarray:
        genomes.setflags(write=False)
        return accuracy(FASHION)(genomes)

    search_front(FASHION, latency(FASHION), strict, options=SearchOptions(evaluations=500))


def test_what_it_starts_with_is_evaluated() -> None:
    given = FASHION.sample(np.random.default_rng(5), 20)
    result = search_front(FASHION, latency(FASHION), accuracy(FASHION), start=given, options=SHORT)
    assert all((result.genomes == row).all(axis=1).any() for row in given)


@pytest.mark.parametrize("budget", [0.1, 0.0, -1.0, math.nan])
def test_an_impossible_budget_names_the_fastest_subnet(budget: float) -> None:
    counted = Counter(accuracy(TINY))
    with pytest.raises(BudgetError) as caught:
        search_front(TINY, latency(TINY), counted, focus=(budget,))
    everything = every_genome(TINY)
    times = latency(TINY)(everything)
    fastest = TINY.subnet(everything[times.argmin()])
    assert fastest.id in caught.value.why
    assert f"{times.min():.4g} ms" in caught.value.why
    assert counted.asked == []
    flag, hint = caught.value.hint.split(",")[0].split()
    assert flag == "--latency-ms"
    assert times.min() <= float(hint) < 1.02 * times.min()
    result = search_front(TINY, latency(TINY), accuracy(TINY), focus=(float(hint),), options=SHORT)
    assert result.best(float(hint)).latency_ms <= float(hint)


def test_the_tightest_budget_has_one_answer() -> None:
    least = float(latency(TINY)(every_genome(TINY)).min())
    result = search_front(TINY, latency(TINY), accuracy(TINY), focus=(least,), options=SHORT)
    assert result.candidates(least) == (result.fastest,)


@pytest.mark.parametrize("wrong", [lambda genomes: np.full(len(genomes), np.nan), lambda genomes: np.zeros(3)])
def test_a_predictor_that_answers_nonsense_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        search_front(TINY, latency(TINY), wrong)


# -- being stopped ---------------------------------------------------------------------------------------------------


def test_an_interruption_returns_the_front_so_far() -> None:
    calls = []

    def interrupted(genomes: Genomes) -> np.ndarray:
        calls.append(len(genomes))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return accuracy(FASHION)(genomes)

    result = search_front(FASHION, latency(FASHION), interrupted)
    assert result.interrupted == "interrupted"
    assert result.evaluations == sum(calls[:-1])
    assert (result.accuracy == accuracy(FASHION)(result.genomes)).all()
    assert len(result.points) > 1


def test_one_that_comes_before_anything_is_known_is_passed_on() -> None:
    def interrupted(genomes: Genomes) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_front(TINY, latency(TINY), interrupted)


def test_it_stops_when_it_is_told_to_and_when_its_time_is_over() -> None:
    told = search_front(FASHION, latency(FASHION), accuracy(FASHION), stop=lambda: "enough")
    assert told.interrupted == "enough"
    late = search_front(FASHION, latency(FASHION), accuracy(FASHION), options=SearchOptions(seconds=0.0))
    assert late.interrupted == "stopped after 0 s"
    assert late.evaluations == told.evaluations < 2000


# -- limits of other quantities --------------------------------------------------------------------------------------


def test_every_subnet_keeps_the_limits() -> None:
    macs = macs_table(FASHION)
    most = 0.5 * float(macs(FASHION.genome([FASHION.largest()]))[0, 0])
    limit = Limit("MACs", "--max-macs", lambda rows: macs(rows)[:, 0], most)
    result = search_front(FASHION, latency(FASHION), accuracy(FASHION), limits=(limit,), options=SHORT)
    assert (macs(result.genomes)[:, 0] <= most).all()
    free = search_front(FASHION, latency(FASHION), accuracy(FASHION), options=SHORT)
    kept = macs(free.genomes)[:, 0] <= most
    assert result.accuracy.max() > free.accuracy[kept].max() - 5e-4


# -- fitting to budgets --------------------------------------------------------------------------------------------


def test_every_genome_is_made_to_fit_its_own_budget() -> None:
    rng = np.random.default_rng(0)
    repair = BudgetRepair(FASHION, latency(FASHION))
    genomes = FASHION.sample(rng, 500)
    limits = rng.uniform(repair.fastest_ms.min(), repair.largest_ms.max(), 500)
    before, after = latency(FASHION)(genomes), latency(FASHION)(fitted := repair(genomes, limits, rng, grow=0.0))
    assert (after <= limits).all()
    assert (fitted == FASHION.canonical(fitted)).all()
    slow = before > limits
    assert (fitted[~slow] == genomes[~slow]).all()
    assert np.median((after / limits)[slow]) > 0.9  # mended, not thrown back to the smallest


def test_growing_fills_the_budget() -> None:
    rng = np.random.default_rng(0)
    repair = BudgetRepair(FASHION, latency(FASHION))
    genomes = FASHION.sample(rng, 500)
    limits = np.full(500, 0.8 * repair.largest_ms.max())
    grown = latency(FASHION)(repair(genomes, limits, rng, grow=1.0))
    assert (grown <= limits).all()
    assert np.median(grown) > 1.2 * np.median(latency(FASHION)(genomes))
