"""The neighbours of a subnet, and the fastest subnet of a space."""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import GenomeCode, Genomes, Space


def neighbours(space: Space, genome: Genomes) -> Genomes:
    """All canonical genomes one step from `genome` [genome_length]: [N, genome_length].

    A step is another (kernel, expand) pair in one kept block, another depth of one stage (the added blocks all hold one
    pair, whichever), another elastic width, or another resolution.
    """
    blocks, code = len(space.blocks), space.code
    kept = space.active(genome[None])[0]
    parts = []

    def steps(columns: list[NDArray[np.intp]], choices: NDArray[np.int8]) -> None:
        """One genome for each row of choices [N, len(columns)], written to all of each group of columns."""
        rows = np.repeat(genome[None], len(choices), axis=0)
        for group, values in zip(columns, choices.T, strict=True):
            rows[:, group] = values[:, None]
        parts.append(rows)

    for block in np.flatnonzero(kept):
        steps([np.array([block]), np.array([blocks + block])], _pairs(code, int(block)))
    for stage, (start, stop) in enumerate(itertools.pairwise(code.first_blocks)):
        added = np.arange(start, stop)[~kept[start:stop]]
        pairs, depths = _pairs(code, start), np.arange(len(code.depths[stage]), dtype=np.int8)
        choices = np.hstack([np.repeat(depths, len(pairs))[:, None], np.tile(pairs, (len(depths), 1))])
        steps([np.array([2 * blocks + stage]), added, blocks + added], choices)
    for column in range(code.width_columns().start, code.length):
        steps([np.array([column])], np.arange(code.sizes[column], dtype=np.int8)[:, None])
    # Sorted and each once; genes are small and not negative, so that their bytes sort as they do.
    rows = sorted({row.tobytes() for row in space.canonical(np.concatenate(parts))} - {genome.tobytes()})
    return np.frombuffer(b"".join(rows), dtype=np.int8).reshape(-1, code.length)


@functools.cache
def _pairs(code: GenomeCode, block: int) -> NDArray[np.int8]:
    """All (kernel, expand) indices of a block: [N, 2]."""
    kernels, expands = len(code.kernels[block]), len(code.expands[block])
    return np.array(list(itertools.product(range(kernels), range(expands))), dtype=np.int8)


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
