"""From the cycles of an accelerator's compiler to milliseconds of silicon, with an interval.

A compiler counts the accelerator's own cycles: not the CPU beside it, not other masters of the same memories. Networks
that were both compiled and measured say how much that is; there are few, so the interval is wide.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from ofa_edge.latency.protocol import Z90, Interval, LatencyModel, Share
from ofa_edge.space import Genomes, Subnet

_T90 = {3: 2.353}  # half-width of Student's central 90 %, by degrees of freedom


@dataclass(frozen=True)
class Pair:
    """One network in milliseconds: predicted by the compiler, measured on silicon; ranges stand at their middle."""

    network: str
    accelerator: str
    predicted_ms: float
    measured_ms: float


# Published latencies of boards with these accelerators, rescaled to 400 MHz, beside those that Vela 5.2 predicts.
ETHOS_U = (
    Pair("MobileNetV2", "Ethos-U55-256", 15.1, 19.0),
    Pair("ResNet-50", "Ethos-U85-256", 80.5, 130.5),  # 73 to 88, 110 to 151
    Pair("Inception-V3", "Ethos-U85-256", 103.5, 237.0),  # 97 to 110
    Pair("MobileNetV3-L", "Ethos-U85-256", 16.5, 35.0),  # 14 to 19
)


@dataclass(frozen=True)
class Silicon:
    """What silicon takes of a compiler's milliseconds.

    Attributes:
        factor: median of measured over predicted.
        doubt: standard deviation of its logarithm, for a network that is not among the pairs.
    """

    factor: Annotated[float, Field(gt=0, le=1e3)]  # bounds hold where a file gives the values
    doubt: Annotated[float, Field(ge=0, le=10)]

    @classmethod
    def of(cls, pairs: tuple[Pair, ...]) -> "Silicon":
        """From pairs, taken as a sample of a log-normal ratio: the 90 % interval is Student's prediction interval."""
        ratios = np.log([pair.measured_ms / pair.predicted_ms for pair in pairs])
        spread = float(np.std(ratios, ddof=1)) * math.sqrt(1 + 1 / len(pairs))
        return cls(math.exp(float(np.mean(ratios))), _T90[len(pairs) - 1] / Z90 * spread)

    def interval(self, ms: float) -> Interval:
        """Of a network whose cycles are known."""
        return self.of_interval(Interval(ms, ms, ms, ms, ms)).at(())

    def of_interval(self, interval: Interval) -> Interval:
        """Of a compiler's milliseconds that are themselves predicted."""
        return interval.scaled(self.factor).widened(self.doubt)

    def of_parts(self, parts: Sequence[Share]) -> tuple[Share, ...]:
        """The parts of a network, each taking longer."""
        return tuple(dataclasses.replace(part, ms=part.ms * self.factor) for part in parts)


class OnSilicon:
    """A model of a compiler's milliseconds, as silicon takes them. Implements `LatencyModel`."""

    def __init__(self, model: LatencyModel, silicon: Silicon) -> None:
        self.model, self.silicon = model, silicon
        self.kind, self.provenance, self.key, self.outside = model.kind, model.provenance, model.key, model.outside

    def predict(self, subnet: Subnet) -> Interval:
        """Latency of one subnet, in milliseconds."""
        return self.silicon.of_interval(self.model.predict(subnet)).at(())

    def predict_many(self, genomes: Genomes) -> Interval:
        """Latency of N genomes [N, genome_length], in milliseconds: arrays [N]."""
        return self.silicon.of_interval(self.model.predict_many(genomes))

    def parts(self, subnet: Subnet) -> tuple[Share, ...]:
        """Those of the model, each taking longer."""
        return self.silicon.of_parts(self.model.parts(subnet))
