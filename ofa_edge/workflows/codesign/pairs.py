"""Every subnet on every accelerator, by their models: which pair is best, and which no other pair beats."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import BlockTable
from ofa_edge.errors import BudgetError
from ofa_edge.latency.analytic import AnalyticModel
from ofa_edge.records.codesign import PairRecord
from ofa_edge.search.front import round_up
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.workflows.codesign.accelerators import Accelerator

Floats = NDArray[np.float64]


class Pairs:
    """Subnets on accelerators.

    Args:
        space: of the subnets.
        accelerators: any number.
        genomes: the subnets [N, genome_length].
        accuracy: of each, predicted.
        models: the latency model of each accelerator, by its name.
    """

    def __init__(
        self,
        space: Space,
        accelerators: Sequence[Accelerator],
        genomes: Genomes,
        accuracy: Floats,
        models: Mapping[str, AnalyticModel],
    ) -> None:
        self.space, self.genomes, self.accuracy = space, genomes, accuracy
        self.accelerators = sorted(accelerators, key=lambda each: (each.size.macs_per_cycle, each.size.sram_bytes))
        self.ms = np.array([np.asarray(models[each.name].predict_many(genomes).ms) for each in self.accelerators])

    def record(self, place: int, row: int) -> PairRecord:
        """A subnet on an accelerator, by their numbers."""
        subnet = self.space.subnet(self.genomes[row])
        return pair_record(self.accelerators[place], subnet, float(self.accuracy[row]), float(self.ms[place, row]))

    def front(self) -> tuple[PairRecord, ...]:
        """Pairs that no pair beats in accuracy and latency with no more MACs a cycle and no more on-chip memory."""
        found, count = [], self.accuracy.size
        sizes = [each.size for each in self.accelerators]
        costs = np.array([(each.macs_per_cycle, each.sram_bytes) for each in sizes])
        for cost in np.unique(costs, axis=0):
            within = np.flatnonzero((costs <= cost).all(1))
            kept = pareto_front(self.ms[within].ravel(), np.tile(self.accuracy, len(within)))
            places, rows = within[kept // count], kept % count
            found += [self.record(p, r) for p, r in zip(places, rows, strict=True) if (costs[p] == cost).all()]
        return tuple(found)

    def best(self, latency_ms: float, among: int | None = None) -> tuple[int, int]:
        """The most accurate within a latency, of equals that of the least hardware: numbers. Raises BudgetError."""
        places = list(range(len(self.accelerators))) if among is None else [among]
        ms = self.ms[places]
        score = np.where(ms <= latency_ms, self.accuracy[None], -np.inf)
        if not np.isfinite(score).any():
            place, row = np.unravel_index(int(ms.argmin()), ms.shape)
            fastest = self.record(places[int(place)], int(row))
            raise BudgetError(
                f"no pair takes {latency_ms:g} ms or less",
                f"the fastest, {fastest.subnet} on {fastest.accelerator}, is predicted to take {fastest.ms:.4g} ms",
                f"--latency-ms {round_up(float(ms.min())):g}, or larger accelerators",
            )
        place, row = np.unravel_index(int(score.argmax()), score.shape)  # the first, which has the least hardware
        return places[int(place)], int(row)

    def by_macs(self, row: int) -> int:
        """The most accurate subnet of as many MACs as another has: what is chosen knowing no accelerator."""
        table = BlockTable(self.space, lambda part: np.array([sum(each.macs for each in part)], np.float64))
        counts = table(self.genomes)[:, 0]
        return int(np.where(counts <= counts[row], self.accuracy, -np.inf).argmax())


def pair_record(
    accelerator: Accelerator, subnet: Subnet, accuracy: float | None = None, ms: float | None = None
) -> PairRecord:
    """A pair for the record."""
    return PairRecord(
        accelerator=accelerator.name,
        macs_per_cycle=accelerator.size.macs_per_cycle,
        sram_bytes=accelerator.size.sram_bytes,
        area_mm2=accelerator.size.area_mm2,
        subnet=subnet.id,
        config=subnet.config(),
        accuracy=accuracy,
        ms=ms,
    )
