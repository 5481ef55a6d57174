"""Made-up latency and accuracy of a space, with known answers."""

import functools
import itertools

import numpy as np

from ofa_edge.cost import BlockTable, Operator
from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes, Space

FASHION = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
TINY = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 28), kernels=(3,), expands=(3, 4), depths=(1, 2))


def latency_table(space: Space, seed: int = 0) -> BlockTable:
    """Additive milliseconds: arithmetic, traffic and overhead, each entry up to 10 % off as in a measured table."""
    rng = np.random.default_rng(seed)

    def measure(operators: tuple[Operator, ...]) -> Floats:
        total = 0.0
        for operator in operators:
            slow = 4.0 if operator.kernel == 7 else 1.0
            traffic = operator.in_elements + operator.out_elements + operator.weights
            total += operator.macs * slow / 8e6 + traffic / 1e6 + 0.004
        return np.array([total * rng.uniform(0.9, 1.1)])

    return BlockTable(space, measure)


def gain_table(space: Space, seed: int = 1) -> BlockTable:
    """Additive capacity: larger choices mostly help, each block by an amount of its own."""
    rng = np.random.default_rng(seed)
    table = BlockTable(space, lambda _: np.zeros(1))
    kernels, expands = np.linspace(0, 0.8, len(space.kernels)), np.linspace(0, 1, len(space.expands))
    for block in range(len(space.blocks)):
        kernel = kernels * rng.uniform(0.1, 0.8) + rng.normal(0, 0.05, len(kernels))
        expand = expands * rng.uniform(0.3, 1.0) + rng.normal(0, 0.05, len(expands))
        noise = rng.normal(0, 0.05, (len(kernels), len(expands)))
        table.entries[:, block, :, :, 0] = rng.uniform(0.3, 1.0) + kernel[:, None] + expand + noise
    table.fixed[:, 0] = np.linspace(0, 3, len(space.resolutions))
    return table


def latency(space: Space) -> Score:
    """Milliseconds of genomes."""
    table = latency_table(space)
    return lambda genomes: table(genomes)[:, 0]


def accuracy(space: Space) -> Score:
    """Top-1 between 0.70 and 0.95, saturating: the best subnet is the one of the most capacity."""
    table = gain_table(space)
    return lambda genomes: 0.95 - 0.25 * np.exp(-table(genomes)[:, 0] / 9)


@functools.cache
def every_genome(space: Space) -> Genomes:
    """All canonical genomes of a small space."""
    genes = itertools.product(*(range(size) for size in space.code.sizes))
    return np.unique(space.canonical(np.array(list(genes), dtype=np.int8)), axis=0)


def best_capacity(space: Space, budget_ms: float) -> tuple[float, float]:
    """Bounds of the largest gain within the budget, by dynamic programming over rounded-up and rounded-down times."""
    indices = range(len(space.resolutions))
    return (
        max(_knapsack(space, index, budget_ms, np.ceil) for index in indices),
        max(_knapsack(space, index, budget_ms, np.floor) for index in indices),
    )


def _knapsack(space: Space, resolution: int, budget_ms: float, rounding: np.ufunc, bins: int = 8000) -> float:
    times, gains = latency_table(space), gain_table(space)
    unit = (budget_ms - times.fixed[resolution, 0]) / bins
    if unit <= 0:
        return -np.inf
    best = np.full(bins + 1, -np.inf)
    best[0] = gains.fixed[resolution, 0]
    for stage in range(space.num_stages):
        current, done = best, np.full(bins + 1, -np.inf)
        for position in range(space.depths[-1]):
            following = np.full(bins + 1, -np.inf)
            block = space.first_blocks[stage] + position
            for choice in np.ndindex(times.entries.shape[2:4]):
                cost = int(rounding(times.entries[resolution, block, *choice, 0] / unit))
                if cost <= bins:
                    value = current[: bins + 1 - cost] + gains.entries[resolution, block, *choice, 0]
                    following[cost:] = np.maximum(following[cost:], value)
            current = following
            if position + 1 in space.depths:
                done = np.maximum(done, current)
        best = done
    return float(best.max())
