"""The protocol of latency models, and the frozen values that pass through it."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import Genomes, Subnet

ModelKind = Literal["analytic", "table", "fitted"]
ProvenanceKind = Literal["measured", "published", "analytic"]
Milliseconds = float | NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Predicted latency in milliseconds, of one network (floats) or of many (arrays [N]), batch 1.

    `ms` is the median; half of all true latencies should lie in low50..high50, nine of ten in low90..high90.
    """

    ms: Milliseconds
    low50: Milliseconds
    high50: Milliseconds
    low90: Milliseconds
    high90: Milliseconds

    def at(self, index: int) -> "Interval":
        """One network's interval out of an interval over many."""
        return Interval(*(float(np.asarray(value)[index]) for value in self._values()))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, or lists of them."""
        names = ("ms", "low50", "high50", "low90", "high90")
        return {name: np.asarray(value).tolist() for name, value in zip(names, self._values(), strict=True)}

    def _values(self) -> tuple[Milliseconds, ...]:
        return self.ms, self.low50, self.high50, self.low90, self.high90


@dataclass(frozen=True)
class Key:
    """What a model's numbers hold for, and for nothing else."""

    device: str  # device model, in words
    runtime: str  # "tflite" or "tvm"
    version: str  # of the runtime and its back end
    precision: str
    threads: int


@dataclass(frozen=True)
class CrossValidation:
    """How well the method did on networks, or on a device, that the coefficients had not seen."""

    held_out: str  # in words
    networks: int
    mape: float  # mean absolute percentage error, as a fraction
    bias: float  # median of ln(measured / predicted)
    spearman: float | None  # of predicted with measured; None for fewer than four networks
    coverage50: float  # share of networks inside the 50 % interval
    coverage90: float


@dataclass(frozen=True)
class Provenance:
    """Where a model's numbers come from.

    `measured`: on this device model with this runtime, by us. `published`: fitted to other people's measurements of
    this device model with this runtime, perhaps in another version: `fitted_to` says which. `analytic`: nobody's
    measurements of this device model with this runtime were at hand; carried over from others by hardware figures.
    """

    kind: ProvenanceKind
    fitted_to: str  # device, runtime, version, precision and threads of the data, and what was done with them
    sources: tuple[str, ...]
    command: str  # that made the file
    cross_validation: tuple[CrossValidation, ...] = ()


@runtime_checkable
class LatencyModel(Protocol):
    """Predicts the latency of subnets of one space on one target."""

    @property
    def kind(self) -> ModelKind:
        """How the model works."""
        ...

    @property
    def provenance(self) -> Provenance:
        """Where its numbers come from."""
        ...

    @property
    def key(self) -> Key:
        """What its numbers hold for."""
        ...

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet: an interval of floats."""
        ...

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length]: an interval of arrays [N]."""
        ...
