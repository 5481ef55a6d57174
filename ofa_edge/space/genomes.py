"""Subnets as rows of small integers, so that search can work on thousands of them at once.

Columns: kernel index of each block, expand index of each block, depth index of each stage, ratio index of each elastic
width, resolution index. Canonical: a skipped block holds index 0 in both of its columns.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space.subnet import Subnet

Genomes = NDArray[np.int8]


@dataclass(frozen=True)
class GenomeCode:
    """How the subnets of one space are coded.

    Attributes:
        kernels: choices of each block.
        expands: choices of each block.
        depths: choices of each stage: numbers of blocks.
        widths: choices of each elastic width.
        resolutions: choices.
    """

    kernels: tuple[tuple[int, ...], ...]
    expands: tuple[tuple[float, ...], ...]
    depths: tuple[tuple[int, ...], ...]
    widths: tuple[tuple[float, ...], ...]
    resolutions: tuple[int, ...]

    @property
    def blocks(self) -> int:
        """Blocks of the supernet."""
        return len(self.kernels)

    @property
    def length(self) -> int:
        """Columns of a genome."""
        return 2 * self.blocks + len(self.depths) + len(self.widths) + 1

    @functools.cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Choices of each column: [length]."""
        choices = (*self.kernels, *self.expands, *self.depths, *self.widths, self.resolutions)
        return np.array([len(each) for each in choices], dtype=np.int64)

    @functools.cached_property
    def first_blocks(self) -> tuple[int, ...]:
        """Index of each stage's first block, and one past the last block."""
        return tuple(np.cumsum([0, *(depths[-1] for depths in self.depths)]).tolist())

    def depth_columns(self) -> slice:
        """Columns of the depths."""
        return slice(2 * self.blocks, 2 * self.blocks + len(self.depths))

    def width_columns(self) -> slice:
        """Columns of the elastic widths; none in most spaces."""
        return slice(2 * self.blocks + len(self.depths), self.length - 1)

    @functools.cached_property
    def _depth_table(self) -> NDArray[np.intp]:
        table = np.zeros((len(self.depths), max(map(len, self.depths))), dtype=np.intp)
        for stage, depths in enumerate(self.depths):
            table[stage, : len(depths)] = depths
        return table

    def active(self, genomes: Genomes) -> NDArray[np.bool_]:
        """Which blocks each genome keeps: [N, blocks]."""
        depths = self._depth_table[np.arange(len(self.depths)), genomes[:, self.depth_columns()]]
        lengths = [stage[-1] for stage in self.depths]
        position = np.concatenate([np.arange(length) for length in lengths])
        return np.asarray(position < np.repeat(depths, lengths, axis=1))

    def canonical(self, genomes: Genomes) -> Genomes:
        """A copy with the genes of skipped blocks at 0, so that equal networks have equal rows."""
        result = genomes.copy()
        result[:, : 2 * self.blocks] *= np.tile(self.active(genomes), 2)
        return result

    def sample(self, rng: np.random.Generator, count: int) -> Genomes:
        """Random genomes, each gene uniform before it is made canonical: [count, length]."""
        return self.canonical(rng.integers(0, self.sizes, size=(count, self.length)).astype(np.int8))

    def mutate(
        self, genomes: Genomes, rng: np.random.Generator, probability: float, resolution_probability: float
    ) -> Genomes:
        """Resample each block's pair, each depth, each width and the resolution, independently at the given rates."""
        count = len(genomes)
        fresh = rng.integers(0, self.sizes, size=genomes.shape).astype(np.int8)
        block = rng.random((count, self.blocks)) < probability
        others = rng.random((count, len(self.depths) + len(self.widths))) < probability
        resolution = rng.random((count, 1)) < resolution_probability
        return self.canonical(np.where(np.hstack([block, block, others, resolution]), fresh, genomes))

    def crossover(self, first: Genomes, second: Genomes, rng: np.random.Generator) -> Genomes:
        """Take each gene from either parent by a coin."""
        return self.canonical(np.where(rng.random(first.shape) < 0.5, first, second))

    def encode(self, subnets: Iterable[Subnet]) -> Genomes:
        """Subnets as genomes: [N, length]."""
        rows = []
        for subnet in subnets:
            row = np.zeros(self.length, dtype=np.int8)
            for stage, pairs in enumerate(subnet.stages):
                for index, (kernel, expand) in enumerate(pairs, start=self.first_blocks[stage]):
                    row[index] = self.kernels[index].index(kernel)
                    row[self.blocks + index] = self.expands[index].index(expand)
                row[2 * self.blocks + stage] = self.depths[stage].index(len(pairs))
            row[self.width_columns()] = [own.index(w) for own, w in zip(self.widths, subnet.widths, strict=True)]
            row[-1] = self.resolutions.index(subnet.resolution)
            rows.append(row)
        return np.array(rows, dtype=np.int8).reshape(-1, self.length)

    def decode(self, genome: Genomes) -> Subnet:
        """One genome [length] as a subnet."""
        stages = []
        for stage, start in enumerate(self.first_blocks[:-1]):
            depth = self.depths[stage][genome[2 * self.blocks + stage]]
            pairs = tuple(
                (self.kernels[index][genome[index]], self.expands[index][genome[self.blocks + index]])
                for index in range(start, start + depth)
            )
            stages.append(pairs)
        chosen = genome[self.width_columns()].tolist()
        widths = tuple(own[index] for own, index in zip(self.widths, chosen, strict=True))
        return Subnet(tuple(stages), self.resolutions[genome[-1]], widths)

    def one_hot(self, genomes: Genomes) -> NDArray[np.float32]:
        """Features for accuracy predictors, in the order of the reference's tutorial form.

        Per block one-hots of the kernel, then per block one-hots of the expand ratio, both all-zero where the block is
        skipped, then a one-hot of each elastic width, then of the resolution.
        """
        keep, columns = self.active(genomes), []
        for column, size in enumerate(self.sizes.tolist()):
            if self.depth_columns().start <= column < self.depth_columns().stop:
                continue  # the zeros of skipped blocks tell the depths
            hot = genomes[:, column, None] == np.arange(size)
            columns.append(hot & keep[:, column % self.blocks, None] if column < 2 * self.blocks else hot)
        return np.hstack(columns).astype(np.float32)
