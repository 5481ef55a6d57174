"""One search for the whole Pareto front of accuracy against latency, on thousands of genomes at once.

It answers what the evolution of Once-For-All (ICLR 2020, section 4) answers for one budget, for all of them, and
differs in what lets that one stall:

- every genome is canonical and is evaluated once. What has been evaluated stays in an archive, and parents are drawn
  from it: the best within a budget, and the best of each resolution, so that no resolution dies out early;
- it starts from the exact front of a separable surrogate (`surrogate.py`) that is fitted to a first sample;
- children work under budgets from the fastest subnet to the largest. One over its budget is mended, not thrown away;
  half of the others are grown until they fill it (`repair.py`);
- the single steps around the best subnets of each budget are evaluated in turn, and then those pairs of steps that
  promise most: one that costs time with one that saves it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.additive import AdditiveTable, tabulate
from ofa_edge.search.archive import Archive, Floats, Score
from ofa_edge.search.bound import LagrangianBound, SeparableAccuracy, upper_bound
from ofa_edge.search.fastest import fastest_subnets, neighbours
from ofa_edge.search.feasible import require_feasible
from ofa_edge.search.front import Candidate, Front, NoBound, UpperBound, impossible
from ofa_edge.search.limits import Limit
from ofa_edge.search.part import Part
from ofa_edge.search.repair import BudgetRepair
from ofa_edge.search.surrogate import surrogate_front
from ofa_edge.space import Genomes, Space

MUTATION_RATES = (0.03, 0.06, 0.12)
LEAST_FRACTION = 0.3  # of the largest subnet's latency: where the front is sought from
GROWN = 64  # subnets of each resolution grown up to the limits, to see how slow one may be
BOUNDED = 64  # budgets at which the upper bound is made tight
EFFORT = 3  # children bred per evaluation allowed, at most: in a space nearly searched out few of them are new


@dataclass(frozen=True)
class SearchOptions:
    """How a search spends its evaluations; the defaults were chosen on both spaces of benchmarks/search.py."""

    evaluations: int = 20_000  # calls of the accuracy predictor, at most
    population: int = 400  # children of a generation
    elite: int = 10  # parents kept of all, and of each resolution
    crossover: float = 0.4  # share of children that have two parents; the others are mutants
    grow: float = 0.5  # probability that a child within its budget is grown until it fills it
    budgets: int = 24  # for which the front is sought, besides the focus
    focus: float = 0.5  # share of the effort that goes to the budgets in focus, where there are any
    polish: int = 4  # neighbourhoods searched after each generation
    surrogate: int = 4  # rounds of the separable surrogate at the start
    seconds: float | None = None  # what the search may take


def default_budget(space: Space, latency: Score, fraction: float) -> float:
    """`fraction` of the latency of the space's largest subnet, in milliseconds."""
    return fraction * float(latency(space.genome([space.largest()]))[0])


def search_front(
    space: Space,
    latency: Score,
    accuracy: Score,
    *,
    limits: tuple[Limit, ...] = (),
    focus: tuple[float, ...] = (),
    part: Space | None = None,
    separable: SeparableAccuracy | NoBound | None = None,
    start: Genomes | None = None,
    seed: int = 0,
    options: SearchOptions | None = None,
    stop: Callable[[], str] | None = None,
    on_evaluated: Callable[[int], None] | None = None,
) -> Front:
    """Search `space` for the most accurate subnets of every latency, in one run.

    Ctrl-C ends the search, not the program: the front so far is returned and says that it was interrupted.

    Args:
        space: the search space.
        latency: maps genomes [N, genome_length] to milliseconds [N]; called often, so it must be cheap.
        accuracy: maps genomes to predicted accuracy [N], in any unit; called once for each distinct subnet.
        limits: what else every subnet has to keep.
        focus: budgets in milliseconds that take a larger share of the effort.
        part: where only some choices may be taken: `space.restricted(...)`. All functions take genomes of the whole
            space, and the front holds such.
        separable: `accuracy` in its separable form, from which an upper bound follows; or why there is none.
        start: genomes to begin with, besides the search's own: [N, genome_length]; those outside the limits are mended.
        seed: same seed, same result (unless it is interrupted, or `options.seconds` runs out).
        options: how much to evaluate, and how.
        stop: asked after each step; words that it returns end the search and are its reason.
        on_evaluated: told after each step how many subnets were evaluated, of `options.evaluations`.

    Raises:
        BudgetError: no subnet meets a budget in focus, or a limit, or two of them together; names the least that works.
    """
    options = options or SearchOptions()
    if part is not None:
        inside = Part(space, part)
        return _search_part(
            inside, latency, accuracy, limits, focus, separable, start, seed, options, stop, on_evaluated
        )
    times = tabulate(space, latency)
    repair = BudgetRepair(space, latency, limits, times)
    if not np.isfinite(repair.fastest_ms).any():
        require_feasible(space, limits)
    first = int(repair.fastest_ms.argmin())
    fastest = Candidate(space.subnet(repair.fastest[first]), float(repair.fastest_ms[first]), float("nan"))
    for budget in focus:
        if not fastest.latency_ms <= budget:  # `not <=` catches NaN too
            if fastest_subnets(space, latency)[1].min() <= budget:  # it is the limits that stand in the way
                require_feasible(space, (*limits, Limit("latency", "--latency-ms", latency, budget, "ms")))
            raise impossible(space, fastest, budget)
    archive = Archive(space, latency, accuracy, options.evaluations)
    evolution = _Evolution(repair, archive, focus, seed, options)
    bound: UpperBound = NoBound("no separable form of the accuracy was given")
    if isinstance(separable, SeparableAccuracy):
        found = upper_bound(space, latency, separable, evolution.bounded)
        if isinstance(found, LagrangianBound):
            start = found.subnets if start is None else np.concatenate([start, found.subnets])
        bound = found
    elif separable is not None:
        bound = separable
    interrupted = evolution.run(times, start, stop, on_evaluated)
    return Front(
        space,
        archive.genomes.copy(),
        archive.latency.copy(),
        archive.accuracy.copy(),
        Candidate(fastest.subnet, fastest.latency_ms, float(archive.accuracy[0])),
        bound,
        interrupted=interrupted,
        progress=tuple(evolution.progress),
    )


def _search_part(
    part: Part,
    latency: Score,
    accuracy: Score,
    limits: tuple[Limit, ...],
    focus: tuple[float, ...],
    separable: SeparableAccuracy | NoBound | None,
    start: Genomes | None,
    seed: int,
    options: SearchOptions,
    stop: Callable[[], str] | None,
    on_evaluated: Callable[[int], None] | None,
) -> Front:
    """`search_front` in a part of its space."""

    def inside(function: Score) -> Score:
        return lambda genomes: function(part.widen(genomes))

    if isinstance(separable, SeparableAccuracy):
        separable = SeparableAccuracy(inside(separable.gain), inside(separable.inner), separable.curve)
    front = search_front(
        part.part,
        inside(latency),
        inside(accuracy),
        limits=tuple(replace(limit, measure=inside(limit.measure)) for limit in limits),
        focus=focus,
        separable=separable,
        start=None if start is None else part.narrow(start),
        seed=seed,
        options=options,
        stop=stop,
        on_evaluated=on_evaluated,
    )
    return replace(front, space=part.whole, genomes=part.widen(front.genomes))


class _Evolution:
    """One run of `search_front`."""

    def __init__(
        self, repair: BudgetRepair, archive: Archive, focus: tuple[float, ...], seed: int, options: SearchOptions
    ) -> None:
        self.space, self.repair, self.archive, self.options = repair.space, repair, archive, options
        self.rng = np.random.default_rng(seed)
        grid = self._grid()
        self.budgets = np.concatenate([grid, np.unique(focus)])
        share = options.focus if focus else 0.0
        self.shares = np.full(len(self.budgets), (1 - share) / len(grid))
        self.shares[len(grid) :] = share / max(len(self.budgets) - len(grid), 1)
        self.bounded = np.union1d(np.geomspace(grid[0], grid[-1], BOUNDED), self.budgets)
        self.watched = self.budgets[-1]
        self.polished: set[tuple[int, float]] = set()
        self.progress: list[tuple[int, float]] = []

    def _grid(self) -> Floats:
        """Budgets from the least that is sought to the slowest subnet; with limits, to the slowest that keeps them."""
        repair, slowest = self.repair, self.repair.largest[[self.repair.largest_ms.argmax()]]
        if not repair.allowed(slowest)[0]:
            grown = np.repeat(repair.fastest[np.isfinite(repair.fastest_ms)], GROWN, axis=0)
            slowest = repair(grown, np.full(len(grown), np.inf), self.rng, 1.0)
        largest = max(float(repair.latency(slowest).max()), float(repair.fastest_ms.min()))
        least = max(float(repair.fastest_ms.min()), min(LEAST_FRACTION * float(repair.largest_ms.max()), largest))
        return np.unique(np.geomspace(least, largest, self.options.budgets))

    def run(
        self,
        times: AdditiveTable | None,
        start: Genomes | None,
        stop: Callable[[], str] | None,
        on_evaluated: Callable[[int], None] | None,
    ) -> str:
        """Search until nothing more may be evaluated; why it ended before, if it did."""
        seconds = self.options.seconds
        until = np.inf if seconds is None else time.monotonic() + seconds
        try:
            for step in self._steps(times, start):
                step()
                self._note()
                if on_evaluated is not None:
                    on_evaluated(len(self.archive))
                if self.archive.full:
                    break
                if time.monotonic() > until:
                    return f"stopped after {seconds:g} s"
                if stop is not None and (reason := stop()):
                    return reason
        except KeyboardInterrupt:
            if not len(self.archive):
                raise
            return "interrupted"
        return ""

    def _steps(self, times: AdditiveTable | None, start: Genomes | None) -> Iterator[Callable[[], None]]:
        yield partial(self._begin, start)
        if times is not None:
            for _ in range(self.options.surrogate):
                yield partial(self._from_surrogate, times)
        for _ in range(EFFORT * self.options.evaluations // self.options.population):
            yield self._generation
            for _ in range(self.options.polish):
                yield self._polish

    def _note(self) -> None:
        within = self.archive.latency <= self.watched
        self.progress.append((len(self.archive), float(self.archive.accuracy[within].max())))

    def _begin(self, start: Genomes | None) -> None:
        """The fastest subnet, which is the first of the archive; those of each resolution; what was given; a sample."""
        repair, count = self.repair, min(2 * self.options.population, max(1, self.options.evaluations // 10))
        within = np.isfinite(repair.fastest_ms)
        self.archive.evaluate(repair.fastest[[repair.fastest_ms.argmin()]])
        self.archive.evaluate(np.concatenate([repair.fastest[within], repair.largest[repair.allowed(repair.largest)]]))
        if start is not None:
            self._evaluate_mended(self.space.canonical(start))
        genomes = self.space.sample(self.rng, count)
        self.archive.evaluate(repair(genomes, self._draw(count), self.rng, self.options.grow))

    def _draw(self, count: int) -> Floats:
        """Budgets of children."""
        return self.rng.choice(self.budgets, count, p=self.shares)

    def _evaluate_mended(self, genomes: Genomes) -> None:
        """Evaluate genomes, mended where they exceed the largest budget or a limit."""
        limits = np.full(len(genomes), self.budgets.max())
        self.archive.evaluate(self.repair(genomes, limits, self.rng, 0.0))

    def _from_surrogate(self, times: AdditiveTable) -> None:
        archive = self.archive
        found = surrogate_front(self.space, archive.genomes, archive.latency, archive.accuracy, times)
        self._evaluate_mended(found[self.rng.permutation(len(found))][: self.options.population])

    def _generation(self) -> None:
        """Breed one generation of children, each under a budget of its own, and evaluate the new ones."""
        count, archive, rng = self.options.population, self.archive, self.rng
        limits = self._draw(count)
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
        archive.evaluate(self.repair(children, limits, rng, self.options.grow))

    def _parents(self, ranked: NDArray[np.intp], limit: float) -> NDArray[np.intp]:
        """The best within `limit`, twice, and the best of each resolution."""
        within = ranked[self.archive.latency[ranked] <= limit]
        resolution, elite = self.archive.genomes[within, -1], self.options.elite
        best = [within[resolution == index][:elite] for index in range(len(self.space.resolutions))]
        return np.concatenate([within[:elite], within[:elite], *best])

    def _polish(self) -> None:
        """Evaluate all steps from a best subnet of some budget, then the pairs of steps that promise most.

        The base is the best subnet that has not been one under this budget: of all, or of a resolution drawn by lot.
        """
        archive, budget = self.archive, float(self._draw(1)[0])
        ranked = archive.ranked()
        ranked = ranked[archive.latency[ranked] <= budget]
        if self.rng.random() < 0.5:
            own = archive.genomes[ranked, -1] == self.rng.integers(len(self.space.resolutions))
            ranked = ranked[own]
        base = next((index for index in ranked[:64].tolist() if (index, budget) not in self.polished), None)
        if base is None:
            return
        self.polished.add((base, budget))
        genome = archive.genomes[base].copy()
        near = neighbours(self.space, genome)
        steps = archive.evaluate(near[self.repair.allowed(near)])
        gain, cost = archive.accuracy[steps] - archive.accuracy[base], archive.latency[steps] - archive.latency[base]
        one, other = np.triu_indices(len(steps), 1)
        promise = gain[one] + gain[other]  # as if steps added up: what they truly give is evaluated below
        affordable = cost[one] + cost[other] <= budget - archive.latency[base]
        hopeful = np.flatnonzero((promise > 0) & affordable)
        hopeful = hopeful[np.argsort(-promise[hopeful], kind="stable")][: self.options.population // 4]
        first, second = archive.genomes[steps[one[hopeful]]], archive.genomes[steps[other[hopeful]]]
        pairs = self.space.canonical(np.where(second != genome, second, first))
        archive.evaluate(self.repair(pairs, np.full(len(pairs), budget), self.rng, 0.0))
