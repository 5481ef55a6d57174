"""What an accuracy predictor sees of a subnet: a sum over its blocks, its resolution, and its MACs.

All but the MACs is additive over blocks, so a fitted linear model collapses into one small table of gains, and
predicting 10,000 subnets is 10,000 sums of 20 looked-up numbers.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import BlockTable, macs_table
from ofa_edge.space import Genomes, Space

Floats = NDArray[np.float64]
# About 10 M MACs: any offset would do, it only keeps the logarithm and its square from being one column twice.
LOG_MACS_OFFSET = 16.0


@dataclass(frozen=True)
class Features:
    """The feature map of one space.

    Columns: per block one-hots of the kernel, per block one-hots of the expand ratio (zeros where it is skipped); then,
    per stage, its depth and the sums of its kernel and expand indices; one-hots of elastic widths, if any; a one-hot of
    the resolution; log MACs and its square.
    """

    space: Space

    @functools.cached_property
    def blocks(self) -> Floats:
        """What each choice of each block adds: [blocks, kernels, expands, columns]."""
        space, count = self.space, len(self.space.blocks)
        kernels, expands = len(space.kernels), len(space.expands)
        table = np.zeros((count, kernels, expands, self.width))
        for block in range(count):
            summary = self.detailed + 3 * space.blocks[block].stage
            for kernel in range(kernels):
                for expand in range(expands):
                    row = table[block, kernel, expand]
                    row[block * kernels + kernel] = 1
                    row[count * kernels + block * expands + expand] = 1
                    row[summary : summary + 3] = 1, kernel, expand
        return table

    @property
    def detailed(self) -> int:
        """Number of the one-hot columns of blocks, which come first."""
        return len(self.space.blocks) * (len(self.space.kernels) + len(self.space.expands))

    @property
    def _width_columns(self) -> NDArray[np.intp]:
        """First column of each elastic width."""
        start, ratios = self.detailed + 3 * self.space.num_stages, len(self.space.width_ratios)
        return start + ratios * np.arange(self.space.num_widths)

    @property
    def _resolution_column(self) -> int:
        return self.detailed + 3 * self.space.num_stages + self.space.num_widths * len(self.space.width_ratios)

    @property
    def width(self) -> int:
        """Number of columns."""
        return self._resolution_column + len(self.space.resolutions) + 2

    @functools.cached_property
    def _macs(self) -> BlockTable:
        return macs_table(self.space)

    def macs(self, genomes: Genomes) -> Floats:
        """Multiply-accumulates: [N]."""
        return np.asarray(self._macs(genomes)[:, 0])

    def _centred_log_macs(self, genomes: Genomes) -> Floats:
        return np.asarray(np.log(self.macs(genomes)) - LOG_MACS_OFFSET)

    def __call__(self, genomes: Genomes) -> Floats:
        """Features of genomes: [N, width]."""
        log_macs = self._centred_log_macs(genomes)
        result = self._sum_blocks(self.blocks, genomes)
        # Genomes are int8: a sum with a column number would wrap.
        resolution, widths = genomes[:, -1].astype(np.intp), self._widths(genomes)
        result[np.arange(len(genomes)), self._resolution_column + resolution] = 1
        result[np.arange(len(genomes))[:, None], self._width_columns + widths] = 1
        result[:, -2], result[:, -1] = log_macs, log_macs**2
        return result

    def linear(self, weights: Floats, bias: float) -> "LinearFeatures":
        """The function `bias + self(genomes) @ weights`, collapsed into tables."""
        resolutions = weights[self._resolution_column : -2] + bias
        widths = weights[self._width_columns[:, None] + np.arange(len(self.space.width_ratios))]
        return LinearFeatures(self, self.blocks @ weights[:, None], widths, resolutions, weights[-2:])

    def _widths(self, genomes: Genomes) -> NDArray[np.intp]:
        """Ratio index of each elastic width: [N, widths]."""
        return genomes[:, self.space.code.width_columns()].astype(np.intp)

    def _sum_blocks(self, table: Floats, genomes: Genomes) -> Floats:
        blocks = len(self.space.blocks)
        values = table[np.arange(blocks), genomes[:, :blocks], genomes[:, blocks : 2 * blocks]]
        return np.asarray(np.einsum("nbf,nb->nf", values, self.space.active(genomes)))


@dataclass(frozen=True)
class LinearFeatures:
    """A linear function of `Features`, as tables."""

    features: Features
    blocks: Floats  # [blocks, kernels, expands, 1]
    widths: Floats  # [elastic widths, ratios]
    resolutions: Floats  # [resolutions], the bias added
    log_macs: Floats  # weights of log MACs and of its square

    def __call__(self, genomes: Genomes) -> Floats:
        """Values of genomes: [N]."""
        macs = self.features._centred_log_macs(genomes)
        return np.asarray(self.gains(genomes) + macs * (self.log_macs[0] + macs * self.log_macs[1]))

    def gains(self, genomes: Genomes) -> Floats:
        """All but the part of MACs, a sum over blocks: [N]."""
        gains = self.features._sum_blocks(self.blocks, genomes)[:, 0]
        if len(self.widths):
            gains += self.widths[np.arange(len(self.widths)), self.features._widths(genomes)].sum(axis=1)
        return np.asarray(gains + self.resolutions[genomes[:, -1]])
