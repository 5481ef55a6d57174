"""What a co-design found: pairs of network and accelerator. Milliseconds are of the compiler's cycles, estimated."""

from typing import Annotated

from pydantic import Field

from ofa_edge.records.base import Count, Finite, JsonObject, NotNegative, Positive, Record
from ofa_edge.records.npu import NpuLayer
from ofa_edge.vocabulary import ProvenanceKind


class PairRecord(Record):
    """One subnet on one accelerator, by their latency model.

    Attributes:
        accelerator: its name; `macs_per_cycle`, `sram_bytes` and `area_mm2` (None: no source gives it) are its cost.
        subnet: its id; `config`: its choices.
        accuracy: predicted, as the predictor has it; None where that was not asked.
        ms: predicted milliseconds; likewise.
    """

    accelerator: str
    macs_per_cycle: Annotated[int, Field(ge=1)]
    sram_bytes: Annotated[int, Field(ge=1)]
    area_mm2: Positive | None = None
    subnet: str
    config: JsonObject
    accuracy: Finite | None = None
    ms: Positive | None = None


class NetworkRecord(Record):
    """A network on an accelerator, compiled in full.

    Attributes:
        role: what it stands for, in words.
        accelerator: its name.
        macs: of one inference.
        cycles: of one inference; `ms`: at the accelerator's clock.
        energy_uj: microjoules of one inference; None where the compiler says nothing of it.
        utilisation: of its multipliers.
        intensity: operations (two for each multiply-accumulate) for each byte to or from what is not SRAM.
        gops: 1e9 operations a second; `roof_gops`: with every multiplier at work.
        offchip_gbps: 1e9 bytes a second of what is not SRAM, at most.
        sram_bytes: taken.
        layers: the compiler's own account.
    """

    role: str
    accelerator: str
    macs: Count
    cycles: Annotated[int, Field(ge=1)]
    ms: Positive
    energy_uj: NotNegative | None = None
    utilisation: NotNegative
    intensity: NotNegative
    gops: NotNegative
    roof_gops: Positive
    offchip_gbps: NotNegative
    sram_bytes: Count
    layers: tuple[NpuLayer, ...] = ()


class FinalistRecord(NetworkRecord):
    """A pair, compiled in full; `pair`: with its prediction."""

    pair: PairRecord


class CodesignRecord(Record):
    """A co-design.

    Attributes:
        space: that was searched.
        latency_ms: that was asked for.
        metric: what accuracy is called.
        compiler: with its version; all of them, where accelerators have several.
        kind: of their cycles; the less certain, where they differ.
        best: the most accurate pair within `latency_ms`; of equals that of the least hardware.
        front: pairs that none beats in accuracy, latency, MACs a cycle and on-chip memory.
        finalists: the best first, then what it is held against.
        published: well-known networks on the best pair's accelerator, untrained, of the largest subnet's input.
        mape: mean error of each accelerator's latency model over networks held out, as a fraction.
        evaluated: pairs that were asked about.
        notes: what was left out.
    """

    space: str
    latency_ms: Positive
    metric: str
    compiler: str
    kind: ProvenanceKind = "estimated"
    best: PairRecord
    front: tuple[PairRecord, ...]
    finalists: tuple[FinalistRecord, ...]
    published: tuple[NetworkRecord, ...] = ()
    mape: dict[str, NotNegative]
    evaluated: Count
    notes: tuple[str, ...] = ()
