"""The table model: a subnet takes the sum of its blocks' measured latencies.

Blocks that a runtime fuses are measured whole, so the sum is nearer the truth than a sum over operators; what it misses
(caches warm from the block before, for one) is in the interval. A resolution without a table is filled in from the
others, entry by entry, as a + b * resolution**2, and its interval is wider.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ofa_edge.errors import ConfigError
from ofa_edge.latency.protocol import Z50, Z90, Interval, Key, Provenance, Share
from ofa_edge.latency.table_keys import Part, block_part, fixed_parts, require_dialect
from ofa_edge.space import Genomes, Space, Subnet

Floats = NDArray[np.float64]
PartAt = Callable[[int], Part]  # what an entry stands for at a resolution

LEAST_TABLES = 3  # resolutions from which another one may be filled in
_EXTRAPOLATION = 0.1  # standard deviation of ln(latency) that a filled-in resolution adds


@dataclass(frozen=True)
class Entry:
    """One block's latency: mean and standard deviation in milliseconds over `count` runs; None: not recorded."""

    mean: Annotated[float, Field(ge=0)]  # bounds hold where a file gives the values
    std: Annotated[float, Field(ge=0)] | None = None
    count: Annotated[int, Field(ge=0)] | None = None


Tables = Mapping[int, Mapping[str, Entry]]


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
                f"space '{space.name}' has {space.resolutions}; there are tables for {tuple(sorted(tables))}",
                f"give that table, or tables of at least {LEAST_TABLES} resolutions to fill it in from",
            )
        self._fixed = np.array([self._fixed_ms(resolution) for resolution in space.resolutions])
        self._blocks = self._block_ms()

    def _fixed_ms(self, resolution: int) -> float:
        count = len(fixed_parts(self.space, resolution))
        return sum(self._ms(resolution, _fixed(self.space, i)) for i in range(count))

    def _block_ms(self) -> Floats:
        space, code = self.space, self.space.code
        result = np.zeros((len(space.resolutions), len(space.blocks), len(space.kernels), len(space.expands)))
        for row, resolution in enumerate(space.resolutions):
            for spec in space.blocks:
                for k, kernel in enumerate(code.kernels[spec.index]):
                    for e, expand in enumerate(code.expands[spec.index]):
                        at = partial(block_part, space, spec, kernel, expand)
                        result[row, spec.index, k, e] = self._ms(resolution, at)
        return result

    def _ms(self, resolution: int, part: PartAt) -> float:
        """One entry, from its table or filled in."""
        if resolution in self.tables:
            return find(self.tables[resolution], part(resolution).key, resolution).mean
        sizes = np.array(sorted(self.tables))
        values = np.array([find(self.tables[int(r)], part(int(r)).key, int(r)).mean for r in sizes])
        slope, start = np.polyfit(sizes.astype(float) ** 2, values, 1)
        nearest = int(np.abs(sizes - resolution).argmin())
        # Not below what pixels alone would take off the nearest table's entry.
        least = values[nearest] * min(1.0, (resolution / sizes[nearest]) ** 2) / 2
        return float(max(start + slope * resolution**2, least))

    @cached_property
    def _doubt(self) -> Floats:
        """Standard deviation of ln(latency) at each resolution of the space."""
        extra = [_EXTRAPOLATION if r in self.extrapolated else 0.0 for r in self.space.resolutions]
        return np.hypot(self.log_scatter, extra)

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
        ms = self._fixed[resolution] + (values * self.space.active(genomes)).sum(axis=1)
        half, most = (np.exp(reach * self._doubt[resolution]) for reach in (Z50, Z90))
        return Interval(ms, ms / half, ms * half, ms / most, ms * most)

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Entry by entry, blocks in the place where they run."""
        space, resolution = self.space, subnet.resolution
        fixed = fixed_parts(space, resolution)
        blocks = []
        for block in space.active_blocks(subnet):
            spec = block.spec
            name = f"stage {spec.stage + 1} block {spec.position + 1}"
            k = space.code.kernels[spec.index].index(block.kernel)
            e = space.code.expands[spec.index].index(block.expand)
            row = space.resolutions.index(resolution)
            words = f"k{block.kernel} e{block.expand:g}"
            blocks.append((name, words, float(self._blocks[row, spec.index, k, e])))
        ends = [
            (part.key.partition("-")[0], "", self._ms(resolution, _fixed(space, i))) for i, part in enumerate(fixed)
        ]
        lines = [*ends[:2], *blocks, *ends[2:]]
        total = sum(ms for *_, ms in lines)
        return tuple(Share(name, words, ms, ms / total, "table") for name, words, ms in lines)


def _fixed(space: Space, index: int) -> PartAt:
    return lambda resolution: fixed_parts(space, resolution)[index]


def find(table: Mapping[str, Entry], key: str, resolution: int) -> Entry:
    """An entry of one table. Raises ConfigError with the nearest key."""
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, table, n=1, cutoff=0.0)
    raise ConfigError(
        f"the latency table for {resolution} px has no entry '{key}'",
        f"nearest: '{near[0]}'" if near else "the table is empty",
        "measure the missing block, or use a table that was made for this space",
    )
