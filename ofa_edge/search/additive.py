"""Functions of subnets that are sums over blocks, as tables, and their exact maximum.

Latency models, MACs and parameters are such sums, and an accuracy predictor nearly is. The best subnet of a sum is
found block by block: each kept block by itself, then the depth of each stage, then the resolution. So thousands of
weighted sums (Lagrangians of a latency budget) are maximised in one stroke.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes, Space

_CHECKED = 256  # random subnets on which a table is held against its function
_TOLERANCE = 1e-7  # largest difference, as a share of the largest value: float64 sums agree to far less


@dataclass(frozen=True, eq=False)
class AdditiveTable:
    """A sum over blocks.

    Attributes:
        fixed: what each resolution has whatever the blocks: [resolutions].
        entries: what each (kernel, expand) pair of each block adds where it is kept: [resolutions, blocks, pairs].
            Pairs that a block does not have are not a number.
        error: largest difference from the function that it stands for, on random subnets; 0 for one made as a table.
    """

    fixed: Floats
    entries: Floats
    error: float = 0.0

    def __call__(self, space: Space, genomes: Genomes) -> Floats:
        """Values of canonical genomes: [N]."""
        blocks, resolution = len(space.blocks), genomes[:, -1].astype(np.intp)
        pairs = genomes[:, :blocks].astype(np.intp) * len(space.expands) + genomes[:, blocks : 2 * blocks]
        values = self.entries[resolution[:, None], np.arange(blocks), pairs]
        return np.asarray(self.fixed[resolution] + np.where(space.active(genomes), values, 0.0).sum(axis=1))


def tabulate(space: Space, function: Score) -> AdditiveTable | None:
    """The table of a function that is a sum over blocks; None where it is not one, or where widths are elastic.

    Each entry is a difference between two subnets, so one call of a thousand genomes or so fills the table. Blocks that
    are always kept hold 0 at their first pair, and blocks that are only kept together share one entry.
    """
    if space.width_ratios:
        return None
    probes, base, slots = _probes(space)
    values = np.asarray(function(probes), dtype=np.float64)
    count = len(space.blocks)
    entries = np.full((len(space.resolutions), count, len(space.kernels) * len(space.expands)), np.nan)
    difference = values - values[base]
    for row, (resolution, block, pair) in enumerate(slots):
        if block >= 0:
            entries[resolution, block, pair] = difference[row]
    fixed = np.array([values[row] for row, (_, block, _) in enumerate(slots) if block < 0])
    _add_depths(space, entries, probes, values)
    table = AdditiveTable(fixed, entries)
    sample = space.sample(np.random.default_rng(0), _CHECKED)
    truth = np.asarray(function(sample), dtype=np.float64)
    error = float(np.abs(table(space, sample) - truth).max())
    if not error <= _TOLERANCE * float(np.abs(truth).max()):
        return None
    return AdditiveTable(fixed, entries, error)


def _probes(space: Space) -> tuple[Genomes, NDArray[np.intp], list[tuple[int, int, int]]]:
    """Genomes to evaluate, the row each is compared with, and its (resolution, block, pair); block -1: none."""
    count, code, expands = len(space.blocks), space.code, len(space.expands)
    rows: list[Genomes] = []
    base: list[int] = []
    slots: list[tuple[int, int, int]] = []

    def add(row: Genomes, against: int | None, slot: tuple[int, int, int]) -> None:
        rows.append(row)
        base.append(len(rows) - 1 if against is None else against)
        slots.append(slot)

    for resolution in range(len(space.resolutions)):
        smallest = np.zeros(space.genome_length, dtype=np.int8)
        smallest[-1] = resolution
        add(smallest, None, (resolution, -1, 0))
        for spec in space.blocks:
            depth = next(i for i, own in enumerate(code.depths[spec.stage]) if own > spec.position)
            first = smallest.copy()
            first[2 * count + spec.stage] = depth
            start = len(rows)
            for k, e in itertools.product(range(len(code.kernels[spec.index])), range(len(code.expands[spec.index]))):
                row = first.copy()
                row[[spec.index, count + spec.index]] = k, e
                add(row, start, (resolution, spec.index, k * expands + e))
    return np.array(rows), np.array(base, dtype=np.intp), slots


def _add_depths(space: Space, entries: Floats, probes: Genomes, values: Floats) -> None:
    """Give each optional block what keeping it adds: to the first of those that are only kept together."""
    count, code = len(space.blocks), space.code
    known = {row.tobytes(): value for row, value in zip(probes, values, strict=True)}
    for resolution, (stage, start) in itertools.product(
        range(len(space.resolutions)), enumerate(code.first_blocks[:-1])
    ):
        genome = np.zeros(space.genome_length, dtype=np.int8)
        genome[-1] = resolution
        before = known[genome.tobytes()]
        for depth in range(1, len(code.depths[stage])):
            genome[2 * count + stage] = depth
            after = known[genome.tobytes()]
            entries[resolution, start + code.depths[stage][depth - 1]] += after - before
            before = after


class StageSolver:
    """Maximises sums over blocks exactly, many at once."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._stages = list(zip(space.code.first_blocks, space.code.depths, strict=False))

    def maximum(self, fixed: Floats, entries: Floats) -> Floats:
        """Largest value of each sum: fixed [...], entries [..., blocks, pairs] -> [...].

        Pairs that a block does not have must be at minus infinity.
        """
        best, total = entries.max(axis=-1), np.array(fixed, dtype=np.float64)
        for start, depths in self._stages:
            total += self._kept(best, start, depths).max(axis=-1)
        return total

    @staticmethod
    def _kept(best: Floats, start: int, depths: tuple[int, ...]) -> Floats:
        """What a stage adds at each of its depths: [..., depths]."""
        sums = np.zeros((*best.shape[:-1], depths[-1] + 1))
        np.cumsum(best[..., start : start + depths[-1]], axis=-1, out=sums[..., 1:])
        return sums[..., list(depths)]

    def argmax(self, fixed: Floats, entries: Floats, resolution: NDArray[np.intp]) -> Genomes:
        """A genome of each largest value, [M, genome_length]: fixed [M], entries [M, blocks, pairs], resolution [M]."""
        filled, count = np.where(np.isnan(entries), -np.inf, entries), len(self.space.blocks)
        pairs, best = filled.argmax(axis=-1), filled.max(axis=-1)
        depths = [self._kept(best, start, depths).argmax(axis=-1) for start, depths in self._stages]
        genomes = np.zeros((len(fixed), self.space.genome_length), dtype=np.int8)
        genomes[:, :count], genomes[:, count : 2 * count] = np.divmod(pairs, len(self.space.expands))
        genomes[:, 2 * count : 2 * count + len(depths)] = np.stack(depths, axis=-1)
        genomes[:, -1] = resolution
        return self.space.canonical(genomes)


def tradeoffs(space: Space, gain: AdditiveTable, cost: AdditiveTable, count: int) -> Genomes:
    """Subnets on the convex front of two sums, at each resolution: the best of gain - price * cost at many prices.

    Args:
        space: the space.
        gain: what is wanted.
        cost: what it takes, not negative.
        count: prices, spread evenly in their logarithms over all that can matter.
    """
    spread = np.nanmax(np.abs(gain.entries)) / max(float(np.nanmax(np.abs(cost.entries))), 1e-30)
    prices = np.append(spread * np.geomspace(1e-3, 1e2, count - 1), 0.0)
    resolutions = np.tile(np.arange(len(space.resolutions)), count)
    price = np.repeat(prices, len(space.resolutions))
    fixed = gain.fixed[resolutions] - price * cost.fixed[resolutions]
    entries = gain.entries[resolutions] - price[:, None, None] * cost.entries[resolutions]
    return np.unique(StageSolver(space).argmax(fixed, entries, resolutions), axis=0)
