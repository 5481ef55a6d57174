"""Evolutionary search for the best subnets under a latency budget, on thousands of genomes at once.

It answers the same question as the evolution of Once-For-All (ICLR 2020, section 4), and differs in what lets that one
stall:

- every genome is canonical and is evaluated once. What has been evaluated stays in an archive, and parents are drawn
  from it: the best overall and the best of each resolution, so that no resolution dies out early;
- a child over its budget is mended, not thrown away; half of the others are grown until they fill it (`fit.py`);
- part of the children work under other budgets, from the fastest subnet to the largest. They give the rest of the
  Pareto front, and their genes come back;
- when the best subnet stands still, the single steps around it are evaluated, and then those pairs of steps that
  promise most: one that costs time with one that saves it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import BudgetError
from ofa_edge.search.archive import Archive, Floats, Score
from ofa_edge.search.fastest import neighbours
from ofa_edge.search.fit import BudgetFit
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space, Subnet

MUTATION_RATES = (0.03, 0.06, 0.12)
FRONT_BUDGETS = 10
PATIENCE = 3  # generations without a better subnet before its neighbourhood is searched
EFFORT = 3  # children bred per evaluation allowed, at most: in a space nearly searched out few of them are new


@dataclass(frozen=True)
class SearchOptions:
    """How `search` spends its evaluations; the defaults were chosen on both spaces of benchmarks/search.py."""

    evaluations: int = 20_000  # calls of the accuracy predictor, at most
    population: int = 400  # children of a generation
    elite: int = 25  # parents kept of all, and of each resolution
    crossover: float = 0.4  # share of children that have two parents; the others are mutants
    grow: float = 0.5  # probability that a child within its budget is grown until it fills it
    front: float = 0.25  # share of children that work under other budgets
    top: int = 16  # candidates to return
    distance: int = 1  # genes in which the candidates differ, at least


@dataclass(frozen=True)
class Candidate:
    """A subnet with its predicted latency (milliseconds) and accuracy."""

    subnet: Subnet
    latency_ms: float
    accuracy: float


@dataclass(frozen=True)
class SearchResult:
    """The best subnets within the budget, and the Pareto front of everything that was evaluated."""

    budget_ms: float
    best: tuple[Candidate, ...]  # distinct, within the budget, the most accurate first
    front: tuple[Candidate, ...]  # by rising latency, over all budgets
    fastest: Candidate
    evaluations: int
    progress: tuple[tuple[int, float], ...]  # after each generation: evaluations, best accuracy within the budget


def default_budget(space: Space, latency: Score, fraction: float) -> float:
    """`fraction` of the latency of the space's largest subnet, in milliseconds."""
    return fraction * float(latency(space.genome([space.largest()]))[0])


def search(
    space: Space,
    latency: Score,
    accuracy: Score,
    budget_ms: float,
    *,
    seed: int = 0,
    options: SearchOptions | None = None,
) -> SearchResult:
    """Search `space` for the most accurate subnets that `latency` predicts to take at most `budget_ms`.

    Args:
        space: the search space.
        latency: maps genomes [N, genome_length] to milliseconds [N]; called often, so it must be cheap.
        accuracy: maps genomes to predicted accuracy [N], in any unit; called once for each distinct subnet.
        budget_ms: the budget.
        seed: same seed, same result.
        options: how much to evaluate, and how.

    Raises:
        BudgetError: no subnet is fast enough; names the fastest one and its latency.
    """
    options = options or SearchOptions()
    fit = BudgetFit(space, latency)
    if not fit.fastest_ms.min() <= budget_ms:  # `not <=` catches NaN too
        raise _impossible(space, fit, budget_ms)
    archive = Archive(space, latency, accuracy, options.evaluations)
    archive.evaluate(np.concatenate([fit.fastest[[fit.fastest_ms.argmin()]], fit.fastest, fit.largest]))
    evolution = _Evolution(fit, archive, budget_ms, seed, options)
    evolution.start()
    progress = [evolution.progress()]
    stalled = 0
    for _ in range(EFFORT * options.evaluations // options.population):
        if archive.full:
            break
        polishing = stalled == PATIENCE
        evolution.polish() if polishing else evolution.generation()
        progress.append(evolution.progress())
        stalled = 0 if polishing or progress[-1][1] > progress[-2][1] else stalled + 1
    return _result(space, archive, budget_ms, options, tuple(progress))


class _Evolution:
    """One run of `search`."""

    def __init__(self, fit: BudgetFit, archive: Archive, budget_ms: float, seed: int, options: SearchOptions) -> None:
        self.space, self.fit, self.archive, self.options = fit.space, fit, archive, options
        self.budget_ms = budget_ms
        self.rng = np.random.default_rng(seed)
        self.front_budgets = np.linspace(fit.fastest_ms.min(), fit.largest_ms.max(), FRONT_BUDGETS + 1)[1:]
        self.polished: set[int] = set()
        self.turn = 0

    def progress(self) -> tuple[int, float]:
        within = self.archive.latency <= self.budget_ms
        return len(self.archive), float(self.archive.accuracy[within].max())

    def start(self) -> None:
        genomes = self.space.sample(self.rng, 2 * self.options.population)
        self.archive.evaluate(self.fit(genomes, self._limits(len(genomes)), self.rng, self.options.grow))

    def generation(self) -> None:
        """Breed one generation of children, each under a budget of its own, and evaluate the new ones."""
        count, archive, rng = self.options.population, self.archive, self.rng
        limits = self._limits(count)
        ranked = archive.ranked()
        first, second = np.empty((2, count), dtype=np.intp)
        for limit in np.unique(limits):
            pool, here = self._parents(ranked, limit), limits == limit
            first[here], second[here] = rng.choice(pool, (2, int(here.sum())))
        children = self.space.crossover(archive.genomes[first], archive.genomes[second], rng)
        mutants = rng.random(count) >= self.options.crossover
        rates = rng.choice(MUTATION_RATES, count)
        for rate in MUTATION_RATES:
            rows = mutants & (rates == rate)
            children[rows] = self.space.mutate(archive.genomes[first[rows]], rng, rate, rate)
        archive.evaluate(self.fit(children, limits, rng, self.options.grow))

    def _limits(self, count: int) -> Floats:
        limits = np.full(count, self.budget_ms)
        others = int(self.options.front * count)
        limits[:others] = self.rng.choice(self.front_budgets, others)
        return limits

    def _parents(self, ranked: NDArray[np.intp], limit: float) -> NDArray[np.intp]:
        """The best within `limit`, twice, and the best of each resolution."""
        within = ranked[self.archive.latency[ranked] <= limit]
        resolution, elite = self.archive.genomes[within, -1], self.options.elite
        best = [within[resolution == index][:elite] for index in range(len(self.space.resolutions))]
        return np.concatenate([within[:elite], within[:elite], *best])

    def polish(self) -> None:
        """Evaluate all steps from the best subnet of one resolution, then the pairs of steps that promise most.

        The resolutions take turns; a subnet is polished once.
        """
        archive, resolution = self.archive, self.turn % len(self.space.resolutions)
        self.turn += 1
        ranked = archive.ranked()
        open_to_it = (archive.latency[ranked] <= self.budget_ms) & (archive.genomes[ranked, -1] == resolution)
        base = next((index for index in ranked[open_to_it].tolist() if index not in self.polished), None)
        if base is None:
            self.generation()
            return
        self.polished.add(base)
        genome = archive.genomes[base].copy()
        steps = archive.evaluate(neighbours(self.space, genome))
        gain, cost = archive.accuracy[steps] - archive.accuracy[base], archive.latency[steps] - archive.latency[base]
        one, other = np.triu_indices(len(steps), 1)
        promise = gain[one] + gain[other]  # as if steps added up: what they truly give is evaluated below
        affordable = cost[one] + cost[other] <= self.budget_ms - archive.latency[base]
        hopeful = np.flatnonzero((promise > 0) & affordable)
        hopeful = hopeful[np.argsort(-promise[hopeful], kind="stable")][: self.options.population]
        first, second = archive.genomes[steps[one[hopeful]]], archive.genomes[steps[other[hopeful]]]
        pairs = self.space.canonical(np.where(second != genome, second, first))
        archive.evaluate(self.fit(pairs, np.full(len(pairs), self.budget_ms), self.rng, 0.0))


def _candidates(space: Space, archive: Archive, indices: NDArray[np.intp]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(space.subnet(archive.genomes[i]), float(archive.latency[i]), float(archive.accuracy[i]))
        for i in indices
    )


def _result(
    space: Space, archive: Archive, budget_ms: float, options: SearchOptions, progress: tuple[tuple[int, float], ...]
) -> SearchResult:
    ranked = archive.ranked()
    within = ranked[archive.latency[ranked] <= budget_ms]
    best = _spread(archive.genomes, within, options.top, options.distance)
    front = pareto_front(archive.latency, archive.accuracy)
    return SearchResult(
        budget_ms=budget_ms,
        best=_candidates(space, archive, best),
        front=_candidates(space, archive, front),
        fastest=_candidates(space, archive, np.zeros(1, dtype=np.intp))[0],
        evaluations=len(archive),
        progress=progress,
    )


def _spread(genomes: Genomes, ranked: NDArray[np.intp], count: int, distance: int) -> NDArray[np.intp]:
    """The first `count` of `ranked` that differ in at least `distance` genes from all those taken before."""
    taken: list[np.intp] = []
    for index in ranked:
        if len(taken) == count:
            break
        if not taken or ((genomes[taken] != genomes[index]).sum(axis=1) >= distance).all():
            taken.append(index)
    return np.array(taken, dtype=np.intp)


def _impossible(space: Space, fit: BudgetFit, budget_ms: float) -> BudgetError:
    index = int(fit.fastest_ms.argmin())
    subnet, fastest_ms = space.subnet(fit.fastest[index]), float(fit.fastest_ms[index])
    depths = ",".join(map(str, subnet.depths))
    return BudgetError(
        f"no subnet takes {budget_ms:g} ms or less",
        f"the fastest of space '{space.name}', {subnet.id} (depths {depths}, resolution {subnet.resolution}), "
        f"is predicted to take {fastest_ms:.4g} ms",
        f"--latency-ms {_round_up(fastest_ms):g}, or a smaller supernet",
    )


def _round_up(value: float) -> float:
    """Three significant digits, never below `value`: a hint that works as it stands."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.ceil(value / unit) * unit:.3g}")
