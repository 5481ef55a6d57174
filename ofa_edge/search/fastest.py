"""The neighbours of a subnet, and the fastest subnet of a space."""

import numpy as np

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes, Space


def neighbours(space: Space, genome: Genomes) -> Genomes:
    """All canonical genomes one step from `genome` [genome_length]: [N, genome_length].

    A step is another (kernel, expand) pair in one kept block, another depth of one stage (the added blocks all hold one
    pair, whichever), or another resolution.
    """
    blocks, rows = len(space.blocks), []
    pairs = [(kernel, expand) for kernel in range(len(space.kernels)) for expand in range(len(space.expands))]
    kept = space.active(genome[None])[0]
    for block in np.flatnonzero(kept).tolist():
        for pair in pairs:
            rows.append(genome.copy())
            rows[-1][[block, blocks + block]] = pair
    for stage in range(space.num_stages):
        inside = np.arange(stage * space.max_depth, (stage + 1) * space.max_depth)
        added = inside[~kept[inside]]
        for depth in range(len(space.depths)):
            for kernel, expand in pairs:
                rows.append(genome.copy())
                rows[-1][2 * blocks + stage] = depth
                rows[-1][added], rows[-1][blocks + added] = kernel, expand
    for resolution in range(len(space.resolutions)):
        rows.append(genome.copy())
        rows[-1][-1] = resolution
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
