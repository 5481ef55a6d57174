"""The methods that are compared. Each reports its progress: predictor calls, seconds, best accuracy within a budget."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench_search.ground import SPACE, Ground, efficiency
from ofa_edge.errors import ToolMissingError
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.space import Genomes

POPULATION, GENERATIONS = 100, 500  # the reference's
CALLS = POPULATION * (GENERATIONS + 1)


@dataclass
class Progress:
    """Steps of one run, taken after each batch of predictor calls."""

    budgets: list[float]
    started: float = field(default_factory=time.perf_counter)
    steps: list[tuple[int, float, list[float]]] = field(default_factory=list)  # calls, seconds, best of each budget
    reported: list[float] = field(default_factory=list)

    def note(self, latency: np.ndarray, accuracy: np.ndarray) -> None:
        """Take in a batch that was just predicted."""
        calls, _, best = self.steps[-1] if self.steps else (0, 0.0, [0.0] * len(self.budgets))
        best = [
            max(old, float(accuracy[latency <= budget].max(initial=0.0)))
            for old, budget in zip(best, self.budgets, strict=True)
        ]
        self.steps.append((calls + len(latency), time.perf_counter() - self.started, best))


Method = Callable[[Ground, list[float], int, int], Progress]


def front(ground: Ground, budgets: list[float], seed: int, calls: int) -> Progress:
    """Ours: the whole front in one run, all budgets read off it."""
    return _ours(ground, budgets, seed, calls, ())


def focused(ground: Ground, budgets: list[float], seed: int, calls: int) -> Progress:
    """Ours with the budgets in focus."""
    return _ours(ground, budgets, seed, calls, tuple(budgets))


def _ours(ground: Ground, budgets: list[float], seed: int, calls: int, focus: tuple[float, ...]) -> Progress:
    progress = Progress(budgets)

    def accuracy(genomes: Genomes) -> np.ndarray:
        scores = ground.predictor.predict(genomes)
        progress.note(ground.ms(genomes), scores)
        return scores

    options = SearchOptions(evaluations=calls)
    found = search_front(SPACE, ground.ms, accuracy, focus=focus, seed=seed, options=options)
    progress.reported = [found.best(budget).accuracy for budget in budgets]
    return progress


def reference(ground: Ground, budgets: list[float], seed: int, calls: int) -> Progress:
    """The reference's own evolution, for one budget."""
    import importlib

    finder_module = importlib.import_module("ofa.tutorial.evolution_finder")
    vars(finder_module)["tqdm"] = lambda steps, **_: steps  # no bar, and no time for it
    (budget,) = budgets
    progress = Progress(budgets)
    timed = efficiency(ground)
    cost: dict[int, float] = {}

    def predict_efficiency(sample: dict[str, Any]) -> float:
        value = timed.predict_efficiency(sample)
        cost[id(sample)] = value
        return value

    def predict_accuracy(samples: list[dict[str, Any]]) -> Any:
        scores = ground.reference.predict_accuracy(samples)
        progress.note(np.array([cost[id(each)] for each in samples]), scores.numpy()[:, 0].astype(float))
        cost.clear()
        return scores

    random.seed(seed)
    np.random.seed(seed)
    finder = finder_module.EvolutionFinder(
        "note10",
        budget,
        type("Latency", (), {"predict_efficiency": staticmethod(predict_efficiency)}),
        type("Accuracy", (), {"predict_accuracy": staticmethod(predict_accuracy)}),
        population_size=POPULATION,
        max_time_budget=calls // POPULATION - 1,
    )
    progress.started = time.perf_counter()
    finder.run_evolution_search()
    progress.reported = progress.steps[-1][2]
    return progress


def nsga2(ground: Ground, budgets: list[float], seed: int, calls: int) -> Progress:
    """NSGA-II of pymoo over the same genomes: integer variables, its own operators, latency and accuracy as objectives.

    Raises:
        ToolMissingError: pymoo is not installed.
    """
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize
    except ImportError as error:
        raise ToolMissingError("pymoo is not installed", "NSGA-II is its", "pip install pymoo") from error
    progress = Progress(budgets)

    class Networks(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=SPACE.genome_length, n_obj=2, xl=0, xu=SPACE.code.sizes - 1, vtype=int)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
            genomes = SPACE.canonical(np.rint(x).astype(np.int8))
            latency, scores = ground.ms(genomes), ground.predictor.predict(genomes)
            progress.note(latency, scores)
            out["F"] = np.stack([latency, -scores], axis=1)

    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Networks(), algorithm, ("n_eval", calls), seed=seed, verbose=False)
    progress.reported = progress.steps[-1][2]
    return progress
