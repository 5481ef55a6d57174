"""Limits that cannot be kept, alone, in pairs, or with an accuracy."""

import numpy as np
import pytest
from landscapes import TINY, accuracy, every_genome, latency

from ofa_edge.errors import BudgetError
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.feasible import accuracy_error, require_feasible
from ofa_edge.search.limits import Limit, allowed, excess

OPTIONS = SearchOptions(evaluations=1500)


def depth(genomes: np.ndarray) -> np.ndarray:
    return TINY.active(genomes).sum(axis=1).astype(float)


def shallowness(genomes: np.ndarray) -> np.ndarray:
    return 11.0 - depth(genomes)


DEEP = Limit("missing blocks", "--max-missing", shallowness, 3.0)


def test_limits_are_kept_or_exceeded_by_a_share() -> None:
    genomes = every_genome(TINY)[:200]
    limit = Limit("blocks", "--max-blocks", depth, 7.0)
    assert (allowed((limit,))(genomes) == (depth(genomes) <= 7)).all()
    assert ((excess((limit,))(genomes) > 0) == (depth(genomes) > 7)).all()
    assert (allowed(())(genomes)).all()


def test_one_limit_that_nothing_keeps_is_named_with_the_least() -> None:
    limit = Limit("blocks", "--max-blocks", depth, 4.0, "blocks")
    with pytest.raises(BudgetError, match="keeps blocks at most 4 blocks") as caught:
        search_front(TINY, latency(TINY), accuracy(TINY), limits=(limit,))
    assert caught.value.why == "the least is 5 blocks"
    assert caught.value.hint.startswith("--max-blocks 5,")


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [("ms", 1234.5, "1234 ms"), ("bytes", 51_200, "51.2 kB"), ("bytes", 12, "12 bytes"), ("", 8e6, "8 M")],
)
def test_values_are_told_as_people_write_them(unit, value, words) -> None:
    assert Limit("it", "--max-it", depth, 1.0, unit).words(value) == words


@pytest.mark.parametrize(
    ("option", "unit", "scale", "hint"),
    [
        ("--max-size", "bytes", 1000.0, "--max-size 5kB, "),
        ("--max-macs", "", 1.1e6, "--max-macs 5.5M, "),
        ("--also pi=MS:", "ms", 1.0, "--also pi=5ms, "),
    ],
)
def test_the_hint_is_an_option_as_it_is_typed(option, unit, scale, hint) -> None:
    limit = Limit("it", option, lambda genomes: scale * depth(genomes), 1.0, unit)
    with pytest.raises(BudgetError) as caught:
        require_feasible(TINY, (limit,))
    assert caught.value.hint.startswith(hint)


def test_two_that_contradict_each_other_are_named() -> None:
    few = Limit("blocks", "--max-blocks", depth, 6.0)
    with pytest.raises(BudgetError, match="blocks at most 6 and missing blocks at most 3 contradict") as caught:
        search_front(TINY, latency(TINY), accuracy(TINY), limits=(few, DEEP))
    assert "--max-blocks 8, or --max-missing 5" in caught.value.hint
    require_feasible(TINY, (Limit("blocks", "--max-blocks", depth, 8.0), DEEP))


def test_a_budget_that_contradicts_a_limit_is_named() -> None:
    everything = every_genome(TINY)
    times = latency(TINY)(everything)
    deep = times[shallowness(everything) <= 3].min()
    with pytest.raises(BudgetError, match=r"missing blocks at most 3 and latency at most .* ms contradict") as caught:
        search_front(TINY, latency(TINY), accuracy(TINY), limits=(DEEP,), focus=(0.99 * float(deep),))
    assert f"{deep:.4g} ms" in caught.value.why
    search_front(TINY, latency(TINY), accuracy(TINY), limits=(DEEP,), focus=(float(deep),), options=OPTIONS)


def test_three_that_only_contradict_together_are_all_named() -> None:
    def first(rows: np.ndarray) -> np.ndarray:
        return TINY.active(rows)[:, :4].sum(axis=1) + 0.0

    def second(rows: np.ndarray) -> np.ndarray:
        return TINY.active(rows)[:, 4:].sum(axis=1) + 0.0

    limits = (Limit("a", "--a", first, 3.0), Limit("b", "--b", second, 4.0), Limit("c", "--c", shallowness, 3.0))
    with pytest.raises(BudgetError, match="keeps all limits at once") as caught:
        require_feasible(TINY, limits)
    assert caught.value.why.count(";") == 2


def explain(wanted: float, limits: tuple[Limit, ...]) -> BudgetError:
    return accuracy_error(
        TINY, wanted, limits, lambda limit: search_front(TINY, limit.measure, accuracy(TINY), options=OPTIONS)
    )


def test_an_accuracy_out_of_reach_names_the_best() -> None:
    best = accuracy(TINY)(every_genome(TINY)).max()
    error = explain(0.999, (Limit("latency", "--latency-ms", latency(TINY), 1.0, "ms"),))
    assert f"predicted at {best:.4g}" in error.why


def test_an_accuracy_that_a_limit_forbids_names_the_limit_and_the_least() -> None:
    everything = every_genome(TINY)
    times, scores = latency(TINY)(everything), accuracy(TINY)(everything)
    wanted = float(np.quantile(scores, 0.95))
    least = float(times[scores >= wanted].min())
    loose = Limit("blocks", "--max-blocks", depth, 10.0)
    tight = Limit("latency", "--latency-ms", latency(TINY), 0.8 * least, "ms")
    error = explain(wanted, (loose, tight))
    assert "and latency at most" in error.what
    hint = float(error.hint.split()[1].rstrip(","))
    assert least <= hint < 1.05 * least
