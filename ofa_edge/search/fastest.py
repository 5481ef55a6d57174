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


def fastest_subnets(space: Space, latency: Score) -> tuple[Genomes, Floats]:
    """The fastest subnet at each resolution, and its latency: [resolutions, genome_length], [resolutions].

    Starts from the subnet with every choice at its smallest and takes the best step among its neighbours until none is
    faster. For a latency that is a sum over operators, each of them above zero, that is exact: least depth is fastest
    whatever the blocks, and then each block counts by itself. Measured tables do hold smaller choices that are slower.
    """
    best = space.genome([space.smallest(resolution) for resolution in space.resolutions])
    times = np.asarray(latency(best), dtype=np.float64).copy()
    for index in range(len(best)):
        while True:
            near = neighbours(space, best[index])
            near = near[near[:, -1] == best[index, -1]]
            near_times = latency(near)
            step = int(np.argmin(near_times))
            if near_times[step] >= times[index]:
                break
            best[index], times[index] = near[step], near_times[step]
    return best, times
