"""What a search hands on."""

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, every_genome, latency

from ofa_edge.errors import BudgetError
from ofa_edge.search.front import Candidate, Front, NoBound, round_up


def front_of(space=TINY, genomes=None) -> Front:
    genomes = every_genome(space) if genomes is None else genomes
    times, scores = latency(space)(genomes), accuracy(space)(genomes)
    first = int(times.argmin())
    return Front(
        space, genomes, times, scores, Candidate(space.subnet(genomes[first]), float(times[first]), scores[first])
    )


def test_candidates_are_distinct_feasible_and_in_order() -> None:
    front = front_of()
    budget = float(np.median(front.latency))
    best = front.candidates(budget)
    genomes = TINY.genome(candidate.subnet for candidate in best)
    assert len({candidate.subnet for candidate in best}) == len(best) == 16
    assert np.array([candidate.latency_ms for candidate in best]) == pytest.approx(latency(TINY)(genomes))
    assert all(candidate.latency_ms <= budget for candidate in best)
    accuracies = [candidate.accuracy for candidate in best]
    assert accuracies == sorted(accuracies, reverse=True)
    assert best[0] == front.best(budget)
    assert accuracies[0] == front.accuracy[front.latency <= budget].max()


def test_candidates_can_be_spread() -> None:
    front = front_of(FASHION, FASHION.sample(np.random.default_rng(0), 2000))
    budget = float(np.median(front.latency))
    genomes = FASHION.genome(candidate.subnet for candidate in front.candidates(budget, 8, 6))
    apart = (genomes[:, None] != genomes[None]).sum(axis=2)[np.triu_indices(8, 1)]
    assert apart.min() >= 6


def test_points_are_the_best_of_their_own_latency() -> None:
    front = front_of()
    assert all(front.best(point.latency_ms) == point for point in front.points)


def test_least_is_the_fastest_of_an_accuracy() -> None:
    front = front_of()
    wanted = float(np.quantile(front.accuracy, 0.9))
    least = front.least(wanted)
    assert least is not None
    assert least.latency_ms == front.latency[front.accuracy >= wanted].min()
    assert front.least(1.0) is None


def test_a_budget_below_the_fastest_is_an_error() -> None:
    front = front_of()
    with pytest.raises(BudgetError, match=f"no subnet takes {front.fastest.latency_ms / 2:g} ms"):
        front.best(front.fastest.latency_ms / 2)


def test_without_a_bound_the_gap_is_infinite() -> None:
    assert front_of().gap(1e9) == np.inf
    assert NoBound("because").at(1.0) == np.inf


@pytest.mark.parametrize("value", [1.0001, 12.34, 0.00123456, 99.91])
def test_rounding_up_never_goes_below(value: float) -> None:
    assert value <= round_up(value) < 1.01 * value
