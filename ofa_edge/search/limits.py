"""Limits of other quantities than the latency that is searched along: MACs, bytes, another target's milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.archive import Floats, Score
from ofa_edge.space import Genomes

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
Allowed = Callable[[Genomes], NDArray[np.bool_]]


@dataclass(frozen=True)
class Limit:
    """An upper limit of one quantity of a subnet.

    Attributes:
        name: what it limits, in words ("MACs", "latency on pixel-4").
        option: the option that set it, for messages ("--max-macs").
        measure: maps genomes [N, genome_length] to the quantity [N]; called often, so it must be cheap.
        most: the limit.
        unit: of `most`, in words; may be empty.
    """

    name: str
    option: str
    measure: Score
    most: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.name} at most {self.words(self.most)}"

    @property
    def scaled(self) -> bool:
        """Whether its values run to thousands and are told in k, M and G: what has no unit, or bytes."""
        return self.unit in ("", "bytes")

    def words(self, value: float) -> str:
        """A value of the quantity with its unit: "1.5 ms", "1.561 MB", "8 M"."""
        if not self.scaled or abs(value) < 1e3:
            return f"{value:.4g} {self.unit}".rstrip()
        scale, prefix = next((scale, prefix) for scale, prefix in _PREFIXES if abs(value) >= scale)
        return f"{value / scale:.4g} {prefix}{'B' if self.unit else ''}"


def allowed(limits: tuple[Limit, ...]) -> Allowed:
    """Whether genomes keep all limits."""

    def check(genomes: Genomes) -> NDArray[np.bool_]:
        keep = np.ones(len(genomes), dtype=np.bool_)
        for limit in limits:
            keep &= limit.measure(genomes) <= limit.most
        return keep

    return check


def excess(limits: tuple[Limit, ...]) -> Score:
    """By what share the worst limit is exceeded: 0 where all are kept."""

    def measure(genomes: Genomes) -> Floats:
        worst = np.zeros(len(genomes))
        for limit in limits:
            worst = np.maximum(worst, (limit.measure(genomes) - limit.most) / max(abs(limit.most), 1e-9))
        return worst

    return measure
