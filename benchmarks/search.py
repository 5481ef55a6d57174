"""Search against random search and the reference's evolution, at equal predictor calls.

    python benchmarks/search.py [--seeds 5]

The reference's evolution (once-for-all, `tutorial/evolution_finder.py`):
population 100, parents the best 25 of parents and children, half mutants at 0.1, half crossovers, children over the
budget drawn again, nothing remembered. Its own run of 500 generations makes 50,100 predictor calls.

Two accuracies are searched, both made up so that the answer can be known. `additive` is a saturating function of a sum
over blocks: dynamic programming bounds the best accuracy within the budget, and what is printed is the gap to that
bound. `mlp` is a network of the reference predictor's shape (three layers of 400) fitted to samples of it: not
additive, no bound, so the gap is to the best accuracy that any method found. Points are hundredths of top-1.
Times are CPU seconds of one core.
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))  # the made-up landscapes of the tests
from landscapes import FASHION, accuracy, best_capacity, latency

from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.evolution import SearchOptions, default_budget, search
from ofa_edge.space import Genomes, Space

IMAGENET = Space("w1.2", 1.2, resolutions=(160, 176, 192, 208, 224))
BUDGETS = (0.35, 0.5, 0.65)
CALLS, REFERENCE_CALLS = 20_000, 50_100
Method = Callable[[Space, Score, Score, float, int], float]


def ours(calls: int) -> Method:
    """`ofa_edge.search`."""

    def run(space: Space, times: Score, score: Score, budget_ms: float, seed: int) -> float:
        options = SearchOptions(evaluations=calls)
        return search(space, times, score, budget_ms, seed=seed, options=options).best[0].accuracy

    return run


def random_search(space: Space, times: Score, score: Score, budget_ms: float, seed: int) -> float:
    """The best of 20,000 random subnets within the budget."""
    rng = np.random.default_rng(seed)
    return float(score(_within(lambda: space.sample(rng, 2000), times, budget_ms, CALLS)).max())


def reference(calls: int) -> Method:
    """The reference's evolution, its children drawn in batches; everything else as it is there."""

    def run(space: Space, times: Score, score: Score, budget_ms: float, seed: int) -> float:
        rng = np.random.default_rng(seed)
        genomes = _within(lambda: space.sample(rng, 500), times, budget_ms, 100)
        scores = score(genomes)
        for _ in range((calls - 100) // 100):
            best = np.argsort(-scores, kind="stable")[:25]
            parents, scores = genomes[best], scores[best]

            def mutants(parents: Genomes = parents) -> Genomes:
                return space.mutate(parents[rng.integers(0, 25, 100)], rng, 0.1, 0.1)

            def crossed(parents: Genomes = parents) -> Genomes:
                return space.crossover(parents[rng.integers(0, 25, 100)], parents[rng.integers(0, 25, 100)], rng)

            children = [_within(make, times, budget_ms, 50) for make in (mutants, crossed)]
            genomes = np.concatenate([parents, *children])
            scores = np.concatenate([scores, score(np.concatenate(children))])
        return float(scores.max())

    return run


def _within(make: Callable[[], Genomes], times: Score, budget_ms: float, count: int) -> Genomes:
    """Draw until `count` genomes are within the budget."""
    kept: list[Genomes] = []
    while sum(map(len, kept)) < count:
        genomes = make()
        kept.append(genomes[times(genomes) <= budget_ms])
    return np.concatenate(kept)[:count]


def mlp(space: Space) -> Score:
    """A network of the reference predictor's shape, fitted to 4,000 samples of the additive accuracy."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    genomes = space.sample(np.random.default_rng(0), 4000)
    inputs = torch.from_numpy(space.one_hot(genomes))
    targets = torch.from_numpy(accuracy(space)(genomes)).float()[:, None]
    mean, spread = targets.mean(), targets.std()
    widths = (inputs.shape[1], 400, 400, 400)
    hidden = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    net = nn.Sequential(*hidden, nn.Linear(400, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(20):
        for rows in torch.randperm(4000).split(200):
            optimiser.zero_grad()
            nn.functional.mse_loss(net(inputs[rows]), (targets[rows] - mean) / spread).backward()
            optimiser.step()

    def predict(genomes: Genomes) -> Floats:
        with torch.inference_mode():
            return (net(torch.from_numpy(space.one_hot(genomes))) * spread + mean)[:, 0].double().numpy()

    return predict


METHODS: dict[str, Method] = {
    "random, 20,000": random_search,
    "reference, 20,000": reference(CALLS),
    "reference, 50,100": reference(REFERENCE_CALLS),
    "ofa-edge, 5,000": ours(5000),
    "ofa-edge, 20,000": ours(CALLS),
}


def compare(space: Space, name: str, score: Score, seeds: int) -> None:
    """Print one table: mean, worst and spread over seeds of the gap, in points of top-1."""
    times = latency(space)
    for fraction in BUDGETS:
        budget_ms = default_budget(space, times, fraction)
        found: dict[str, tuple[list[float], float]] = {}
        for method, run in METHODS.items():
            start = time.process_time()
            values = [run(space, times, score, budget_ms, seed) for seed in range(seeds)]
            found[method] = values, (time.process_time() - start) / seeds
        top = max(value for values, _ in found.values() for value in values)
        if name == "additive":
            top = 0.95 - 0.25 * math.exp(-best_capacity(space, budget_ms)[1] / 9)
        for method, (values, seconds) in found.items():
            gaps = [100 * (top - value) for value in values]
            print(
                f"| {space.name} | {name} | {fraction:.0%} | {method} | {np.mean(gaps):.3f} | {max(gaps):.3f} "
                f"| {max(gaps) - min(gaps):.3f} | {seconds:.2f} |",
                flush=True,
            )


def main() -> None:
    """Print the whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print("| space | accuracy | budget | method, predictor calls | mean gap | worst gap | spread | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for space in (FASHION, IMAGENET):
        compare(space, "additive", accuracy(space), seeds)
        compare(space, "mlp", mlp(space), seeds)


if __name__ == "__main__":
    main()
