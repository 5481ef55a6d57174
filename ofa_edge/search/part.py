"""A part of a space, searched on its own: its genomes, and the same subnets as genomes of the whole."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import Genomes, Space

_NONE = -1


@dataclass(frozen=True)
class Part:
    """Maps genomes between a space and one with some of its choices (`Space.restricted`)."""

    whole: Space
    part: Space

    @functools.cached_property
    def _columns(self) -> tuple[NDArray[np.int8], ...]:
        """For each gene: the whole's index of each of the part's choices."""
        own, all_ = (
            (*code.kernels, *code.expands, *code.depths, *code.widths, code.resolutions)
            for code in (self.part.code, self.whole.code)
        )
        blocks = len(self.part.blocks)
        if blocks != len(self.whole.blocks):
            raise ValueError("a part must keep the largest depth: its genomes would have other columns")
        return tuple(np.array([w.index(choice) for choice in p], dtype=np.int8) for p, w in zip(own, all_, strict=True))

    def widen(self, genomes: Genomes) -> Genomes:
        """Genomes of the part as genomes of the whole."""
        columns = [table[genomes[:, index]] for index, table in enumerate(self._columns)]
        return self.whole.canonical(np.stack(columns, axis=1))

    def narrow(self, genomes: Genomes) -> Genomes:
        """Those genomes of the whole that lie in the part, as genomes of the part."""
        columns = []
        for index, table in enumerate(self._columns):
            back = np.full(int(self.whole.code.sizes[index]), _NONE, dtype=np.int8)
            back[table] = np.arange(len(table))
            columns.append(back[genomes[:, index]])
        stacked, blocks = np.stack(columns, axis=1), len(self.whole.blocks)
        needed = np.ones(stacked.shape, dtype=np.bool_)
        needed[:, : 2 * blocks] = np.tile(self.whole.active(genomes), 2)
        inside = ((stacked != _NONE) | ~needed).all(axis=1)
        return self.part.canonical(np.where(needed, stacked, 0)[inside].astype(np.int8))
