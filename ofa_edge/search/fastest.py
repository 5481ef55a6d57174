"""The neighbours of a subnet, and the fastest subnet of a space."""

import itertools

import numpy as np

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes, Space


def neighbours(space: Space, genome: Genomes) -> Genomes:
    """All canonical genomes one step from `genome` [genome_length]: [N, genome_length].

    A step is another (kernel, expand) pair in one kept block, another depth of one stage (the added blocks all hold one
    pair, whichever), another elastic width, or another resolution.
    """
    blocks, code, rows = len(space.blocks), space.code, []
    pairs = [
        list(itertools.product(range(len(kernels)), range(len(expands))))
        for kernels, expands in zip(code.kernels, code.expands, strict=True)
    ]
    kept = space.active(genome[None])[0]
    for block in np.flatnonzero(kept).tolist():
        for pair in pairs[block]:
            rows.append(genome.copy())
            rows[-1][[block, blocks + block]] = pair
    for stage, (start, stop) in enumerate(itertools.pairwise(code.first_blocks)):
        added = np.arange(start, stop)[~kept[start:stop]]
        for depth in range(len(code.depths[stage])):
            for kernel, expand in pairs[start]:
                rows.append(genome.copy())
                rows[-1][2 * blocks + stage] = depth
                rows[-1][added], rows[-1][blocks + added] = kernel, expand
    for column in range(code.width_columns().start, code.length):
        for choice in range(code.sizes[column]):
            rows.append(genome.copy())
            rows[-1][column] = choice
    stacked = np.unique(space.canonical(np.array(rows)), axis=0)
    return np.asarray(stacked[(stacked != genome).any(axis=1)])


def fastest_subnets(space: Space, latency: Score, excess: Score | None = None) -> tuple[Genomes, Floats]:
    """The fastest subnet at each resolution, and its latency: [resolutions, genome_length], [resolutions].

    Starts from the subnet with every choice at its smallest and takes the best step among its neighbours until none is
    faster. For a latency that is a sum over operators, each of them above zero, that is exact: least depth is fastest
    whatever the blocks, and then each block counts by itself. Measured tables do hold smaller choices that are slower.

    With `excess`, which is 0 where other limits are kept and above 0 elsewhere, a step that lessens it comes first; the
    latency is infinite where no step brings it to 0.
    """
    best = space.genome([space.smallest(resolution) for resolution in space.resolutions])
    times = np.empty(len(best))
    for index in range(len(best)):
        over, times[index] = _rank(best[index : index + 1], latency, excess)[0]
        while True:
            near = neighbours(space, best[index])
            near = near[near[:, -1] == best[index, -1]]
            ranks = _rank(near, latency, excess)
            step = np.lexsort(ranks.T[::-1])[0]
            if tuple(ranks[step]) >= (over, times[index]):
                break
            best[index], (over, times[index]) = near[step], ranks[step]
        if over > 0:
            times[index] = np.inf
    return best, times


def _rank(genomes: Genomes, latency: Score, excess: Score | None) -> Floats:
    """By how much other limits are exceeded, and the latency: [N, 2]."""
    over = np.zeros(len(genomes)) if excess is None else excess(genomes)
    return np.stack([over, np.asarray(latency(genomes), dtype=np.float64)], axis=1)
