"""Latencies of a space's parts at sizes that were not measured, from the same parts at sizes that were.

What a part costs follows from its maps, which halve and round: 132 px images have 5 x 5 maps before the head, as 160 px
ones do, and a curve over image sizes would miss that. So a shape that was measured at another size keeps its
measurement, and any other lies on the line between the next smaller and the next larger maps.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ofa_edge.latency.entries import Entry, find
from ofa_edge.latency.table_keys import Part, block_part, fixed_parts
from ofa_edge.space import Space

Floats = NDArray[np.float64]
Point = tuple[str, float, float]  # the part's key, the values that its operators read and write, milliseconds

# Least standard deviation of ln(latency) that filling in adds: between measured sizes, and beyond them.
_BETWEEN, _BEYOND = 0.02, 0.1


class Lines:
    """The tables of a space as one row of milliseconds for each size, in the order of `parts_at`.

    Args:
        space: the one that the tables were made for.
        tables: by resolution, then by key; three or more where other sizes are asked for.

    Attributes:
        fixed: how many entries stem and head have; those of the blocks follow.
    """

    def __init__(self, space: Space, tables: Mapping[int, Mapping[str, Entry]]) -> None:
        self._space, self._tables = space, tables
        self._parts: dict[int, tuple[Part, ...]] = {}
        self.fixed = len(fixed_parts(space, space.resolutions[0]))

    def at(self, size: int) -> Floats:
        """Milliseconds [P] at a size: from its table, or filled in. Raises ConfigError where an entry is missing."""
        return self._measured(size) if size in self._tables else self._filled(size, self._tables)

    def doubt(self, size: int) -> float:
        """Standard deviation of ln(latency) of whole networks that filling in a size adds; 0 for one with a table."""
        if size in self._tables:
            return 0.0
        between, beyond = self._missed
        return between if min(self._tables) < size < max(self._tables) else beyond

    def _parts_at(self, size: int) -> tuple[Part, ...]:
        if size not in self._parts:
            self._parts[size] = parts_at(self._space, size)
        return self._parts[size]

    def _measured(self, size: int) -> Floats:
        table = self._tables[size]
        return np.array([find(table, part.key, size).mean for part in self._parts_at(size)])

    def _filled(self, size: int, others: Iterable[int]) -> Floats:
        return fill(self._parts_at(size), [(self._parts_at(each), self._measured(each)) for each in others])

    @cached_property
    def _missed(self) -> tuple[float, float]:
        """What filling in misses where the measured sizes are filled in one by one: between others, and beyond them."""
        sizes = sorted(self._tables)
        missed = [self._error(size, [each for each in sizes if each != size]) for size in sizes]
        between = max(_BETWEEN, *missed[1:-1])
        return between, max(_BEYOND, between, missed[0], missed[-1])

    def _error(self, size: int, others: Iterable[int]) -> float:
        """Root mean square of ln(measured / filled in), over the networks of one kernel and ratio at full depth."""
        lines = np.array([self._measured(size), self._filled(size, others)])
        choices = len(self._space.kernels) * len(self._space.expands)
        blocks = lines[:, self.fixed :].reshape(2, -1, choices).sum(axis=1)
        whole = lines[:, : self.fixed].sum(axis=1)[:, None] + blocks
        return float(np.sqrt(np.mean(np.log(whole[0] / whole[1]) ** 2)))


def parts_at(space: Space, size: int) -> tuple[Part, ...]:
    """What a table holds at one size in one order: stem and head, then block by block each (kernel, expand) pair."""
    code = space.code
    return (
        *fixed_parts(space, size),
        *(
            block_part(space, spec, kernel, expand, size)
            for spec in space.blocks
            for kernel in code.kernels[spec.index]
            for expand in code.expands[spec.index]
        ),
    )


def fill(wanted: Sequence[Part], measured: Sequence[tuple[Sequence[Part], Floats]]) -> Floats:
    """Milliseconds of the parts of one size [P], from the same parts and their milliseconds at other sizes."""
    known = [
        [(part.key, _moved(part), float(value)) for part, value in zip(parts, values, strict=True)]
        for parts, values in measured
    ]
    return np.array([_fill(part, points) for part, points in zip(wanted, zip(*known, strict=True), strict=True)])


def _fill(part: Part, points: Sequence[Point]) -> float:
    same = [ms for key, _, ms in points if key == part.key]
    if same:
        return float(np.mean(same))
    moved = _moved(part)
    sizes = np.array(sorted({size for _, size, _ in points}))
    values = np.array([np.mean([ms for _, size, ms in points if size == each]) for each in sizes])
    if sizes[0] < moved < sizes[-1]:
        return float(np.interp(moved, sizes, values))
    nearest = int(np.abs(sizes - moved).argmin())
    in_proportion = float(values[nearest] * moved / sizes[nearest])
    if len(sizes) == 1:
        return in_proportion
    slope, start = np.polyfit(sizes, values, 1)
    return float(max(start + slope * moved, min(in_proportion, values[nearest]) / 2))


def _moved(part: Part) -> float:
    return float(sum(each.in_elements + each.out_elements for each in part.operators))
