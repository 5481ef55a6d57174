"""The table model: a subnet takes the sum of its blocks' measured latencies.

Blocks that a runtime fuses are measured whole, so the sum is nearer the truth than a sum over operators; what it misses
(caches warm from the block before, for one) is in the interval. A resolution without a table is filled in from the
others, entry by entry (`fill.py`), and its interval is wider: by what filling in misses at the measured resolutions.
"""

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError
from ofa_edge.latency.entries import Tables
from ofa_edge.latency.fill import Lines
from ofa_edge.latency.protocol import Z50, Z90, Interval, Key, Provenance, Share
from ofa_edge.latency.table_keys import fixed_parts, require_dialect
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.space.words import one_of

Floats = NDArray[np.float64]

LEAST_TABLES = 3  # resolutions from which another one may be filled in


class TableModel:
    """Latency of a space's subnets from tables of its blocks. Implements `LatencyModel`.

    Args:
        space: the one that the tables were made for.
        tables: by resolution, then by the reference's keys.
        key: what they hold for.
        provenance: where they come from.
        log_scatter: standard deviation of ln(measured / sum) over whole networks.

    Raises:
        ConfigError: an entry is missing (named, with the nearest), or a resolution cannot be filled in.
        UnsupportedError: the space has no such tables.
    """

    kind: Literal["table"] = "table"
    outside: tuple[str, ...] = ()

    def __init__(self, space: Space, tables: Tables, key: Key, provenance: Provenance, log_scatter: float) -> None:
        require_dialect(space)
        self.space, self.tables, self.key, self.provenance = space, tables, key, provenance
        self.log_scatter = log_scatter
        self.extrapolated = tuple(r for r in space.resolutions if r not in tables)
        if self.extrapolated and len(tables) < LEAST_TABLES:
            raise ConfigError(
                f"no latency table for {self.extrapolated[0]} px",
                f"space '{space.name}' takes {one_of(space.resolutions)}; there are tables for {sorted(tables)}",
                f"give that table, or tables of at least {LEAST_TABLES} resolutions to fill it in from",
            )
        self._lines = Lines(space, tables)
        values = np.array([self._lines.at(resolution) for resolution in space.resolutions])
        self._fixed = values[:, : self._lines.fixed]
        choices = len(space.blocks), len(space.kernels), len(space.expands)
        self._blocks = values[:, self._lines.fixed :].reshape(-1, *choices)

    @cached_property
    def _doubt(self) -> Floats:
        """Standard deviation of ln(latency) at each resolution of the space."""
        return np.hypot(self.log_scatter, [self._lines.doubt(resolution) for resolution in self.space.resolutions])

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.predict_many(self.space.genome([subnet])).at(0)

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        blocks = len(self.space.blocks)
        resolution = genomes[:, -1].astype(np.intp)
        values = self._blocks[
            resolution[:, None], np.arange(blocks), genomes[:, :blocks], genomes[:, blocks : 2 * blocks]
        ]
        ms = self._fixed[resolution].sum(axis=1) + (values * self.space.active(genomes)).sum(axis=1)
        half, most = (np.exp(reach * self._doubt[resolution]) for reach in (Z50, Z90))
        return Interval(ms, ms / half, ms * half, ms / most, ms * most)

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Entry by entry, blocks in the place where they run."""
        space, resolution = self.space, subnet.resolution
        row, blocks = space.resolutions.index(resolution), []
        for block in space.active_blocks(subnet):
            spec = block.spec
            name = f"stage {spec.stage + 1} block {spec.position + 1}"
            k = space.code.kernels[spec.index].index(block.kernel)
            e = space.code.expands[spec.index].index(block.expand)
            words = f"k{block.kernel} e{block.expand:g}"
            blocks.append((name, words, float(self._blocks[row, spec.index, k, e])))
        fixed = zip(fixed_parts(space, resolution), self._fixed[row].tolist(), strict=True)
        ends = [(part.key.partition("-")[0], "", ms) for part, ms in fixed]
        lines = [*ends[:2], *blocks, *ends[2:]]
        total = sum(ms for *_, ms in lines)
        return tuple(Share(name, words, ms, ms / total, "table") for name, words, ms in lines)
