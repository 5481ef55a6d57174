"""A separable surrogate of any accuracy predictor: where the evolution starts from.

Ridge regression on one-hots of blocks makes a sum over blocks of what has been evaluated so far; its exact front
(`additive.py`) is evaluated by the predictor itself, and the next fit leans on what came out near the true front.
"""

import numpy as np

from ofa_edge.search.additive import AdditiveTable, tradeoffs
from ofa_edge.search.archive import Floats
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space

_RIDGE = 1e-2  # in units of one sample's weight
_PRICES = 96


def surrogate_front(space: Space, genomes: Genomes, latency: Floats, accuracy: Floats, times: AdditiveTable) -> Genomes:
    """Subnets on the front of the surrogate and the latency table, fitted to evaluated subnets.

    Args:
        space: the space.
        genomes: evaluated subnets, [N, genome_length].
        latency: of each: [N].
        accuracy: of each: [N].
        times: latency as a table.
    """
    front = pareto_front(latency, accuracy)
    reached = accuracy[front][np.searchsorted(latency[front], latency, side="right") - 1]
    deficit = reached - accuracy
    weights = 1.0 / (1.0 + (deficit / max(float(np.median(deficit)), 1e-12)) ** 2)
    return tradeoffs(space, fit_additive(space, genomes, accuracy, weights), times, _PRICES)


def fit_additive(space: Space, genomes: Genomes, accuracy: Floats, weights: Floats) -> AdditiveTable:
    """The sum over blocks nearest to `accuracy` [N] of `genomes`, each counting with its weight [N]."""
    features = space.one_hot(genomes).astype(np.float64)
    mean = np.average(accuracy, weights=weights)
    scaled = features * weights[:, None]
    gram = scaled.T @ features + _RIDGE * np.eye(features.shape[1])
    solution = np.linalg.solve(gram, scaled.T @ (accuracy - mean))
    return _as_table(space, np.asarray(solution, dtype=np.float64), float(mean))


def _as_table(space: Space, solution: Floats, mean: float) -> AdditiveTable:
    count, code = len(space.blocks), space.code
    entries = np.full((len(space.resolutions), count, len(space.kernels) * len(space.expands)), np.nan)
    kernels = np.cumsum([0, *map(len, code.kernels)])
    expands = kernels[-1] + np.cumsum([0, *map(len, code.expands)])
    for block in range(count):
        for k in range(len(code.kernels[block])):
            for e in range(len(code.expands[block])):
                pair = k * len(space.expands) + e
                entries[:, block, pair] = solution[kernels[block] + k] + solution[expands[block] + e]
    return AdditiveTable(mean + solution[-len(space.resolutions) :], entries)
