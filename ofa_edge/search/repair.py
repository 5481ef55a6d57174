"""Making genomes fit their latency budgets: too slow ones are mended, fast ones may be grown."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from ofa_edge.search.additive import AdditiveTable
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.fastest import fastest_subnets
from ofa_edge.search.limits import Limit, allowed, excess
from ofa_edge.space import Genomes, Space

BISECTIONS = 6


class BudgetRepair:
    """Bends genomes to budgets of their own by crossing them with the fastest or the largest subnet.

    Each gene of a row has a random threshold u; the mix at fraction q takes the anchor's gene where u < q. At q = 1 it
    is the anchor. Bisection finds the least q that fits the budget (towards the fastest subnet) or the largest one that
    still fits (towards the largest): no rejection, a bounded number of latency calls, and it needs nothing of the
    latency but that it can be computed. Limits of other quantities are kept in the same way.

    Args:
        space: the space.
        latency: maps genomes to milliseconds.
        limits: what else has to be kept.
        table: the latency as a table, where it is one: many times quicker, and equal but for rounding.

    Attributes:
        latency: what genomes are mended by.
        fastest, fastest_ms: the fastest subnet within the limits at each resolution; infinite where none was found.
        largest, largest_ms: the subnet with every choice at its largest at each resolution, whatever the limits.
    """

    def __init__(
        self, space: Space, latency: Score, limits: tuple[Limit, ...] = (), table: AdditiveTable | None = None
    ) -> None:
        self.space, self.latency = space, latency if table is None else partial(table, space)
        self.allowed = allowed(limits)
        self.fastest, found = fastest_subnets(space, self.latency, excess(limits) if limits else None)
        self.fastest_ms = np.where(np.isfinite(found), latency(self.fastest), np.inf)
        self.largest = space.genome([space.largest(resolution) for resolution in space.resolutions])
        self.largest_ms = np.asarray(latency(self.largest), dtype=np.float64)

    def _fits(self, genomes: Genomes, limits: Floats) -> NDArray[np.bool_]:
        return (self.latency(genomes) <= limits) & self.allowed(genomes)

    def __call__(self, genomes: Genomes, limits: Floats, rng: np.random.Generator, grow: float) -> Genomes:
        """Genomes within `limits` [N], which may not lie below the fastest subnet's latency.

        Args:
            genomes: canonical, [N, genome_length].
            limits: the budget of each in milliseconds.
            rng: source of randomness.
            grow: probability that a genome within its budget is grown.
        """
        slow = ~self._fits(genomes, limits)
        growing = ~slow & (rng.random(len(genomes)) < grow)
        thresholds = rng.random(genomes.shape, dtype=np.float32)
        result = genomes.copy()
        resolution = genomes[:, -1]
        own_fits = self.fastest_ms[resolution] <= limits  # else the resolution has to give way too
        anchors = self.fastest[np.where(own_fits, resolution, self.fastest_ms.argmin())]
        result[slow] = self._bisect(genomes[slow], anchors[slow], limits[slow], thresholds[slow], growing=False)
        anchors = self.largest[resolution]
        result[growing] = self._bisect(
            genomes[growing], anchors[growing], limits[growing], thresholds[growing], growing=True
        )
        return result

    def _bisect(
        self, genomes: Genomes, anchors: Genomes, limits: Floats, thresholds: NDArray[np.float32], growing: bool
    ) -> Genomes:
        if len(genomes) == 0:
            return genomes
        best = genomes if growing else anchors
        low, high = np.zeros((len(genomes), 1)), np.ones((len(genomes), 1))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            mixed = self.space.canonical(np.where(thresholds < middle, anchors, genomes))
            fits = self._fits(mixed, limits)[:, None]
            best = np.where(fits, mixed, best)
            up = fits == growing
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return best
