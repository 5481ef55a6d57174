"""What a search hands on: everything that it evaluated, the Pareto front of it, and the best subnet of any budget."""

import functools
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import BudgetError
from ofa_edge.search.archive import Floats
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space, Subnet


@dataclass(frozen=True)
class Candidate:
    """A subnet with its predicted latency (milliseconds) and accuracy."""

    subnet: Subnet
    latency_ms: float
    accuracy: float


class UpperBound(Protocol):
    """What no subnet within a budget can exceed."""

    def at(self, budget_ms: float) -> float:
        """An upper bound of the accuracy of every subnet that takes at most `budget_ms`."""


@dataclass(frozen=True)
class NoBound:
    """There is no upper bound, and why."""

    reason: str

    def at(self, budget_ms: float) -> float:
        """Infinity."""
        del budget_ms
        return float(np.inf)


@dataclass(frozen=True, eq=False)
class Front:
    """The Pareto front of accuracy against latency, and the cloud that it was drawn from.

    Attributes:
        space: the space searched.
        genomes: every subnet evaluated, each once: [N, genome_length]. All of them keep the limits given, if any.
        latency: their latencies in milliseconds: [N].
        accuracy: their accuracies, as the predictor gives them: [N].
        fastest: the fastest subnet found, which is the least budget that can be met.
        bound: an upper bound of the accuracy within any budget, or why there is none.
        interrupted: why the search ended before its time, in words; empty where it did not.
        progress: after each step: evaluations, and the best accuracy within the focus of the search.
    """

    space: Space
    genomes: Genomes
    latency: Floats
    accuracy: Floats
    fastest: Candidate
    bound: UpperBound = field(default_factory=lambda: NoBound("none was asked for"))
    interrupted: str = ""
    progress: tuple[tuple[int, float], ...] = ()

    @property
    def evaluations(self) -> int:
        """How many subnets were evaluated: calls of the accuracy predictor."""
        return len(self.genomes)

    @functools.cached_property
    def points(self) -> tuple[Candidate, ...]:
        """The front, by rising latency and so by rising accuracy."""
        return self._candidates(pareto_front(self.latency, self.accuracy))

    @functools.cached_property
    def _ranked(self) -> NDArray[np.intp]:
        return np.lexsort((np.arange(len(self.latency)), self.latency, -self.accuracy))

    def best(self, budget_ms: float) -> Candidate:
        """The most accurate subnet within `budget_ms`, of equals the fastest. Raises BudgetError where there is none.

        A budget has the precision of an addition in floating point: one that was printed and read again still holds.
        """
        return self.candidates(budget_ms, 1)[0]

    def candidates(self, budget_ms: float, count: int = 16, distance: int = 1) -> tuple[Candidate, ...]:
        """The most accurate subnets within `budget_ms`, best first, any two of which differ in `distance` genes.

        Raises:
            BudgetError: no subnet is fast enough; names the fastest one and its latency.
        """
        within = self._ranked[self.latency[self._ranked] <= budget_ms]
        if len(within) == 0:
            raise impossible(self.space, self.fastest, budget_ms)
        return self._candidates(_spread(self.genomes, within, count, distance))

    def least(self, accuracy: float) -> Candidate | None:
        """The fastest subnet of at least this accuracy; None where the search found none."""
        return next((point for point in self.points if point.accuracy >= accuracy), None)

    def gap(self, budget_ms: float) -> float:
        """By how much the best subnet within `budget_ms` may be beaten: 0 or more, infinite without a bound."""
        return max(self.bound.at(budget_ms) - self.best(budget_ms).accuracy, 0.0)

    def _candidates(self, indices: NDArray[np.intp]) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(self.space.subnet(self.genomes[i]), float(self.latency[i]), float(self.accuracy[i]))
            for i in indices
        )


def _spread(genomes: Genomes, ranked: NDArray[np.intp], count: int, distance: int) -> NDArray[np.intp]:
    """The first `count` of `ranked` that differ in at least `distance` genes from all those taken before."""
    taken: list[np.intp] = []
    for index in ranked:
        if len(taken) == count:
            break
        if not taken or ((genomes[taken] != genomes[index]).sum(axis=1) >= distance).all():
            taken.append(index)
    return np.array(taken, dtype=np.intp)


def impossible(space: Space, fastest: Candidate, budget_ms: float) -> BudgetError:
    """The error of a budget below the fastest subnet."""
    depths = ",".join(map(str, fastest.subnet.depths))
    return BudgetError(
        f"no subnet takes {budget_ms:g} ms or less",
        f"the fastest of space '{space.name}', {fastest.subnet.id} (depths {depths}, "
        f"resolution {fastest.subnet.resolution}), is predicted to take {fastest.latency_ms:.4g} ms",
        f"--latency-ms {round_up(fastest.latency_ms):g}, or a smaller supernet",
    )


def round_up(value: float) -> float:
    """Three significant digits, never below `value`: a hint that works as it stands."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(f"{np.ceil(value / unit) * unit:.3g}")
