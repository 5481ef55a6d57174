"""The protocol of latency models, and the frozen values that pass through it. Bounds hold where a file gives them."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ofa_edge.space import Genomes, Subnet
from ofa_edge.vocabulary import ProvenanceKind

ModelKind = Literal["analytic", "table", "fitted"]
Milliseconds = float | NDArray[np.float64]
# Half-widths of the central 50 % and 90 % of a Gaussian, in standard deviations.
Z50, Z90 = 0.674490, 1.644854


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

    def at(self, index: int | tuple[()]) -> "Interval":
        """One network's interval out of an interval over many."""
        return Interval(*(float(np.asarray(value)[index]) for value in self._values()))

    def widened(self, doubt: float) -> "Interval":
        """The same median, with one more standard deviation of ln(latency), `doubt`, in both intervals."""
        ms, _, high50, _, high90 = (np.asarray(value, dtype=np.float64) for value in self._values())
        factors = []
        for high, reach in ((high50, Z50), (high90, Z90)):
            factors.append(np.exp(reach * np.hypot(np.log(high / ms) / reach, doubt)))
        half, most = factors
        return Interval(self.ms, ms / half, ms * half, ms / most, ms * most)

    def scaled(self, factor: float) -> "Interval":
        """Every value times `factor`."""
        return Interval(*(value * factor for value in self._values()))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, or lists of them."""
        names = ("ms", "low50", "high50", "low90", "high90")
        return {name: np.asarray(value).tolist() for name, value in zip(names, self._values(), strict=True)}

    def _values(self) -> tuple[Milliseconds, ...]:
        return self.ms, self.low50, self.high50, self.low90, self.high90


@dataclass(frozen=True)
class Key:
    """What a model's numbers hold for, and for nothing else. None: not recorded by whoever measured."""

    device: str  # device model, in words
    runtime: str  # its name
    version: str  # of the runtime and its back end
    precision: str
    threads: Annotated[int, Field(ge=1, le=1024)]
    os_build: str | None = None
    runtime_digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # SHA-256 of the runtime's binary
    affinity: str | None = None  # which cores
    accelerator: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # SHA-256 of its table in the target

    @property
    def unknown(self) -> tuple[str, ...]:
        """Parts that nobody recorded."""
        asked = (field.name for field in dataclasses.fields(self) if field.name != "accelerator")
        return tuple(name for name in asked if getattr(self, name) is None)


@dataclass(frozen=True)
class Share:
    """What one operator, one block or one group of them takes of a network's latency."""

    name: str
    op: str  # what it is: an ONNX type, or a block in words
    ms: float
    share: float  # of the whole
    bound: str  # the term that takes most of it; "table" where a table holds the whole


@dataclass(frozen=True)
class CrossValidation:
    """How well the method did on networks, or on a device, that the coefficients had not seen."""

    held_out: str  # in words
    networks: Annotated[int, Field(ge=1, lt=1 << 62)]
    mape: Annotated[float, Field(ge=0, le=1e6)]  # mean absolute percentage error, as a fraction
    bias: Annotated[float, Field(ge=-100, le=100)]  # median of ln(measured / predicted)
    spearman: (
        Annotated[float, Field(ge=-1, le=1)] | None
    )  # of predicted with measured; None for fewer than four networks
    coverage50: Annotated[float, Field(ge=0, le=1)]  # share of networks inside the 50 % interval
    coverage90: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Provenance:
    """Where a model's numbers come from.

    `measured`: on this device model with this runtime, by us. `published`: fitted to other people's measurements of
    this device model with this runtime, perhaps in another version: `fitted_to` says which. `estimated`: by the
    compiler of this device model. `analytic`: nobody's measurements of this device model with this runtime were at
    hand; carried over from others by hardware figures.
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

    @property
    def outside(self) -> tuple[str, ...]:
        """In which parts of its key it is used where it does not hold; empty as a rule."""
        ...

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet: an interval of floats."""
        ...

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Where a subnet's latency goes, in order: they add up to the median."""
        ...

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length]: an interval of arrays [N]."""
        ...


class OutsideKey:
    """A model used where its key does not hold: the same medians, wider intervals. Implements `LatencyModel`.

    Args:
        model: the nearest that there is.
        outside: what differs, in words.
        doubt: standard deviation of ln(latency) that the difference adds.
    """

    def __init__(self, model: LatencyModel, outside: tuple[str, ...], doubt: float) -> None:
        self.model, self.outside, self.doubt = model, outside, doubt
        self.kind, self.provenance, self.key = model.kind, model.provenance, model.key

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.model.predict(subnet).widened(self.doubt).at(())

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        return self.model.predict_many(genomes).widened(self.doubt)

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Those of the model."""
        return self.model.parts(subnet)


class ScaledLatency:
    """A model whose latencies all take `factor` times as long, as on a device that runs hot. Implements `LatencyModel`.

    The intervals keep their width in ln(latency): how sure the factor is, nobody says.
    """

    def __init__(self, model: LatencyModel, factor: float) -> None:
        self.model, self.factor = model, factor
        self.kind, self.provenance, self.key, self.outside = model.kind, model.provenance, model.key, model.outside

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.model.predict(subnet).scaled(self.factor)

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        return self.model.predict_many(genomes).scaled(self.factor)

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Those of the model, each taking longer."""
        return tuple(dataclasses.replace(part, ms=part.ms * self.factor) for part in self.model.parts(subnet))
