"""Records of nights: one line of the history for each run of `ofa-edge nightly` and for each accepted baseline.

Units: milliseconds for latency, bytes for sizes, natural logarithms for ratios of candidate over golden.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from ofa_edge.records.base import Count, Digest, Finite, JsonObject, NotNegative, Positive, ReasonCode, Record

ColourName = Literal["RED", "YELLOW", "INCONCLUSIVE", "GREEN"]
COLOURS_BY_WEIGHT: tuple[ColourName, ...] = ("RED", "YELLOW", "GREEN", "INCONCLUSIVE")
Gate = Literal[
    "run",
    "latency",
    "instructions",
    "modelled cycles",
    "accuracy",
    "answers",
    "size",
    "peak memory",
    "undelegated operators",
    "operators",
]


class RunRecord(Record):
    """One run of A B B A: the median milliseconds of each session, None where it is invalid."""

    golden: tuple[Positive | None, ...]
    candidate: tuple[Positive | None, ...]


class FlipRecord(Record):
    """An image that golden and candidate answer differently, by its place in the test set."""

    image: Count
    label: int
    golden: int
    candidate: int


class SeriesRecord(Record):
    """One gate of one artifact on one device: tonight's verdict, and what later nights need of it."""

    device: str
    artifact: str
    gate: Gate
    colour: ColourName
    code: ReasonCode
    reason: str
    unit: Literal["", "ms", "bytes", "instructions", "cycles", "share"] = ""
    golden: Finite | None = None
    candidate: Finite | None = None
    ratio: Finite | None = None  # log of candidate over golden
    p: Annotated[float, Field(ge=0, le=1)] | None = None
    visible: NotNegative | None = None  # log ratio: the smallest regression that the night could have seen
    fingerprint: Digest | None = None  # of the device, without what changes at each start
    golden_sha256: Digest | None = None
    candidate_sha256: Digest | None = None
    pairs: Count = 0  # valid ones, of the run that counts
    aa_ratio: Finite | None = None  # golden against golden, from the same run
    golden_ms: Positive | None = None
    runs: tuple[RunRecord, ...] = ()
    flips: tuple[FlipRecord, ...] = ()  # the first of them
    flipped: Count = 0

    @property
    def key(self) -> str:
        """The series' name."""
        return f"{self.device} / {self.artifact} / {self.gate}"


class DeviceNight(Record):
    """One device's part of a night."""

    name: str
    kind: Literal["physical", "emulated"] | None = None  # None where it could not be asked
    facts: JsonObject = Field(default_factory=dict)  # what it says about itself; hosts and serials only as pseudonyms
    conditions: dict[str, str] = Field(default_factory=dict)  # where it stood before its sessions, in words
    seconds: NotNegative
    error: str | None = None


class NightRecord(Record):
    """One run of the fleet."""

    kind: Literal["night"] = "night"
    schema_version: Literal[1] = 1
    at: AwareDatetime
    version: str
    fleet: str
    devices: tuple[DeviceNight, ...]
    series: tuple[SeriesRecord, ...]

    @property
    def colour(self) -> ColourName:
        """The night's verdict: RED, YELLOW, GREEN, or INCONCLUSIVE where nothing was proved at all."""
        return heaviest([item.colour for item in self.series])


class BaselineRecord(Record):
    """A golden artifact, accepted. The last one of an artifact's name holds."""

    kind: Literal["baseline"] = "baseline"
    schema_version: Literal[1] = 1
    at: AwareDatetime
    artifact: str
    sha256: Digest  # of the artifact's file
    size: Count
    note: str = ""


HistoryRecord = Annotated[NightRecord | BaselineRecord, Field(discriminator="kind")]
HISTORY_RECORD: TypeAdapter[NightRecord | BaselineRecord] = TypeAdapter(HistoryRecord)


def heaviest(colours: list[ColourName]) -> ColourName:
    """RED before YELLOW before GREEN; INCONCLUSIVE only where nothing else is."""
    return min(colours, key=COLOURS_BY_WEIGHT.index, default="INCONCLUSIVE")
