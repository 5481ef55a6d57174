"""The manifest: everything that went into a build, everything that came out, and what was and was not verified.

The types here are the schema of `manifest.json`. They refuse what would not be honest: a latency in milliseconds from
an emulated device, an accuracy of an untrained network, a passed latency gate that nothing measured.

Units: milliseconds for latency, seconds for stages, bytes for sizes, and fractions of 1 for every top-1 accuracy.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from ofa_edge.errors import ConfigError
from ofa_edge.files import read_regular, write_bytes
from ofa_edge.metrics import wilson95
from ofa_edge.names import RelativePath, relative_path
from ofa_edge.output import MANIFEST
from ofa_edge.records.base import (
    Count,
    Digest,
    Finite,
    Fraction,
    JsonObject,
    NotNegative,
    Positive,
    ReasonCode,
    Record,
)
from ofa_edge.records.classes import ClassesRecord
from ofa_edge.records.interface import InterfaceRecord
from ofa_edge.records.mixed import QuantisationRecord
from ofa_edge.records.network import NetworkRecord, SubnetRecord, SupernetRecord
from ofa_edge.records.npu import NpuRecord
from ofa_edge.records.race import RaceRecord
from ofa_edge.records.refinement import IntervalRecord, RefinementRecord
from ofa_edge.records.schedules import KernelRecord, SchedulesRecord
from ofa_edge.records.scores import BoxesRecord, ScoreRecord, ScoresByClass
from ofa_edge.records.search import SearchRecord, SustainedRecord
from ofa_edge.schema import explain
from ofa_edge.vocabulary import UNMEASURED, Label, Outcome, Precision, ProvenanceKind, ScoreName, weightiest

OWN_IMAGES = "own images"
"""Role of the sets of images that a build took from `--data`; their digests are of pixels and labels, not of files."""


class FileRecord(Record):
    """One file that went in or came out. `path` is relative to the output folder, or names an input."""

    path: str
    role: str = ""  # "weights", "calibration images", "artifact", ...
    sha256: Digest
    size: Count


class TargetRecord(Record):
    """What the artifact was built for."""

    name: str
    given: str = ""  # as it stood after --target, where that was a path
    description: str
    arch: str
    cpu: str
    runtime: str
    threads: Annotated[int, Field(ge=1)]
    precision: Precision


class PartRecord(Record):
    """What one part of the subnet takes of the predicted latency."""

    name: str
    what: str = ""
    ms: NotNegative
    bound: str  # the cost that weighs most in it


class LatencyPrediction(IntervalRecord):
    """What the target's latency model says: milliseconds with 50 % and 90 % intervals."""

    kind: Literal["analytic", "table", "fitted"]
    provenance: ProvenanceKind
    source: str
    outside: tuple[str, ...] = ()  # in which parts the model's key does not hold; the interval is wider for it
    parts: tuple[PartRecord, ...] = ()  # stem, blocks, head and call in order


class Tolerance(Record):
    """What a rung is held against; None where a quantity is not gated."""

    max_abs: NotNegative | None = None
    snr_db: Finite | None = None
    accuracy_drop: Fraction | None = None  # of top-1, mAP or mIoU
    boxes: Fraction | None = None  # least share of finished boxes that both sides have


class DropRecord(Record):
    """Accuracy lost against a rung's reference on the same images, with a paired 95 % interval.

    Of top-1 it is Newcombe's, else by bootstrap over images.
    """

    metric: ScoreName = "top-1"
    drop: Annotated[float, Field(ge=-1, le=1)]
    low95: Annotated[float, Field(ge=-1, le=1)]
    high95: Annotated[float, Field(ge=-1, le=1)]
    lost: Count  # images that only the reference has right; of mAP and mIoU: in which less is right than before
    won: Count
    images: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low95 <= self.drop <= self.high95:
            raise ValueError("the interval must hold the drop")
        return self


class CalibrationRecord(Record):
    """A calibration set, reviewed: the images that set the ranges of int8 activations.

    Attributes:
        images: how many.
        classes: how many classes they show; None where labels mean nothing.
        low, high: least and largest value of the network's input over the set, normalised.
        warnings: what may make the ranges wrong, a sentence each.
    """

    images: Annotated[int, Field(ge=1)]
    classes: Count | None = None
    low: Finite
    high: Finite
    warnings: tuple[str, ...] = ()


class ExpectedRecord(Record):
    """What the training run says of a subnet's top-1."""

    top1: Fraction
    images: Annotated[int, Field(ge=1)]  # that stand behind it
    error: NotNegative = 0.0  # standard error besides that of the images: a prediction's RMSE
    source: str  # in words that go before the figure
    same_data: bool  # whether the build's images are of the package itself


class StatisticsRecord(Record):
    """The network beside itself with batch norm statistics of other images of the same data."""

    images: Annotated[int, Field(ge=1)]  # of each other calibration
    snr_db: Finite  # its answers beside those of the others, on the test images
    others_snr_db: Finite  # theirs beside each other's
    top1: tuple[Fraction, ...] = ()  # of two of the others; none without labels
    drop: DropRecord | None = None  # against that of the others that it is nearer to in top-1
    expected: ExpectedRecord | None = None
    suspicions: tuple[str, ...] = ()  # about the calibration images
    certain: ReasonCode | None = None  # the code of a suspicion that needs no other evidence


class Rung(Record):
    """One step of the parity ladder, compared with the rung that `reference` names on the same images."""

    name: str
    reference: str | None = None
    file: RelativePath | None = None
    size: Count | None = None
    max_abs: NotNegative | None = None
    snr_db: Finite | None = None
    argmax_agreement: Fraction | None = None  # of a classifier
    own_db: Finite | None = None  # of a first rung: SNR of its answers with the same sums in another order
    outputs: dict[str, Finite] = Field(default_factory=dict)  # SNR in dB of each, where there are several
    top1: Fraction | None = None
    balanced: Fraction | None = None  # mean recall of the classes that have images
    score: ScoreRecord | None = None  # of a detector or a segmenter, in place of both
    boxes: BoxesRecord | None = None  # of a detector whose boxes are finished, in place of differences
    drop: DropRecord | None = None  # of what a quantised or half-size file loses
    images: Count = 0
    tolerance: Tolerance | None = None
    outcome: Outcome
    note: str = ""

    @property
    def metric(self) -> ScoreName:
        """What its accuracy is called."""
        return "top-1" if self.score is None else self.score.metric

    @property
    def accuracy(self) -> float | None:
        """Top-1, mAP or mIoU, 0..1; None without labels."""
        return self.top1 if self.score is None else self.score.value

    @property
    def accuracy_low95(self) -> float:
        """Lower end of its 95 % interval; 0 without labels."""
        if self.score is not None:
            return self.score.low95
        return 0.0 if self.top1 is None else wilson95(self.top1 * self.images, self.images)[0]


class LatencyMeasurement(Record):
    """Measured milliseconds of one inference, batch 1, on a physical device."""

    p50: Positive
    p90: Positive
    min: Positive
    mad: NotNegative
    low95: Positive  # bootstrap interval of the median over sessions
    high95: Positive
    runs: Annotated[int, Field(ge=1)]
    sessions: Annotated[int, Field(ge=1)]


class Inconclusive(Record):
    """Why nothing was proved either way: a reason code for programs, and the reason in words."""

    code: ReasonCode
    reason: str


class ModelledCyclesRecord(Record):
    """What a model of a core makes of one inference: to compare builds by, not a time."""

    per_inference: Count
    core: Count  # of them, what the core takes when every load hits its nearest cache
    missed_lines: Count  # of 64 bytes, that neither cache held
    model: str  # of another one no figure is to be compared


class DeviceMeasurement(Record):
    """What one device did. An emulated device gives outputs and instruction counts, and no milliseconds."""

    name: str
    kind: Literal["physical", "emulated"]
    connection: str
    fingerprint: dict[str, str]
    runner: JsonObject = Field(default_factory=dict)  # what its program said: version, threads, delegated operators
    conditions: dict[str, str] = Field(default_factory=dict)  # power, heat, clocks, load, in words
    latency_ms: LatencyMeasurement | None = None
    no_latency: Inconclusive | None = None  # what kept a latency from being measured on hardware
    peak_memory: Count | None = None  # bytes, resident, of the process that ran the network
    instructions_per_inference: Count | None = None
    modelled_cycles: ModelledCyclesRecord | None = None
    emulation_wall_ms: NotNegative | None = None
    note: str = ""

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.kind == "emulated" and self.latency_ms is not None:
            raise ValueError("an emulated device gives no latency: use emulation_wall_ms")
        if self.kind == "physical" and self.modelled_cycles is not None:
            raise ValueError("cycles are modelled of emulated devices only")
        return self


class Verdict(Record):
    """The end of one gate: an outcome, a reason code for programs, and the reason in words."""

    gate: Literal[
        "statistics",
        "parity",
        "accuracy",
        "delegation",
        "kernels",
        "pages",
        "sram",
        "storage",
        "latency",
        "size",
        "memory",
        "instructions",
    ]
    outcome: Outcome
    code: ReasonCode
    reason: str


class StageRecord(Record):
    """Wall time of one stage of this build."""

    name: str
    seconds: NotNegative
    cached: bool
    key: Digest | None = None
    produced_seconds: NotNegative | None = None  # what making the entry took, when it was made


class Manifest(Record):
    """One build, whole. Written last: a folder that has one is complete."""

    schema_version: Literal[2] = 2
    tool: Literal["ofa-edge"] = "ofa-edge"
    version: str
    created: AwareDatetime
    command: tuple[str, ...]
    seed: int
    labels: tuple[Label, ...] = ()
    target: TargetRecord
    supernet: SupernetRecord | None = None  # where it is a subnet, or one network of a package
    subnet: SubnetRecord | None = None  # likewise
    network: NetworkRecord
    prediction: LatencyPrediction | None  # None where no latency model takes the network
    search: SearchRecord | None = None  # None where the subnet was given, not searched
    budget_ms: Positive | None  # what the latency gate holds against, if anything
    sustained: SustainedRecord | None = None  # where the prediction is of a warm device
    schedules: SchedulesRecord | None = None  # of a TVM library for a CPU
    calibration: CalibrationRecord | None = None  # of an int8 artifact
    statistics: StatisticsRecord | None = None  # of the network's batch norms
    ladder: tuple[Rung, ...]
    measurements: tuple[DeviceMeasurement, ...] = ()
    verdicts: tuple[Verdict, ...]
    stages: tuple[StageRecord, ...]
    inputs: tuple[FileRecord, ...]
    outputs: tuple[FileRecord, ...]  # relative to the manifest; the manifest itself excepted
    versions: dict[str, str]
    skipped: tuple[str, ...] = ()  # what this build left out, each with its reason
    kernels: tuple[KernelRecord, ...] = ()  # of a CUDA library
    refinement: RefinementRecord | None = None  # of the latency model, by measuring candidates
    classes: ClassesRecord | None = None  # None where labels mean nothing
    scores: ScoresByClass | None = None  # the same of a detector or a segmenter
    quantisation: QuantisationRecord | None = None  # of an int8 artifact, layer by layer
    interface: InterfaceRecord | None = None  # of the artifact; None in builds of earlier versions
    race: RaceRecord | None = None  # where the runtime was chosen by measuring
    npu: NpuRecord | None = None  # of an artifact for an accelerator

    @property
    def network_id(self) -> str:
        """What tells its network from others: the subnet's id, or the start of the file's digest."""
        return self.network.sha256[:12] if self.subnet is None else self.subnet.id

    @property
    def outcome(self) -> Outcome:
        """The weightiest outcome of all gates; `unverified` where there is no gate."""
        return weightiest(verdict.outcome for verdict in self.verdicts)

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.network.trained == ("untrained" in self.labels):
            raise ValueError("the label 'untrained' must be there exactly when the network is not trained")
        if not self.network.trained and self._shows_accuracy():
            raise ValueError("an untrained network has no accuracy to show")
        emulated = any(measurement.kind == "emulated" for measurement in self.measurements)
        if emulated != ("emulated" in self.labels):
            raise ValueError("the label 'emulated' must be there exactly when an emulated device was used")
        predicted = self.prediction
        for label in UNMEASURED:
            if (predicted is not None and predicted.provenance == label) != (label in self.labels):
                raise ValueError(
                    f"the label '{label}' must be there exactly when the prediction's provenance is {label}"
                )
        if (predicted is not None and bool(predicted.outside)) != ("outside-key" in self.labels):
            raise ValueError("the label 'outside-key' must be there exactly when the latency model's key does not hold")
        measured = any(measurement.latency_ms for measurement in self.measurements)
        for verdict in self.verdicts:
            if verdict.gate == "latency" and verdict.outcome in ("pass", "fail") and not measured:
                raise ValueError(f"a latency gate cannot {verdict.outcome} without a measured latency")
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = self.network.kind == "file"
        if (self.supernet is None) != given or (self.subnet is None) != given:
            raise ValueError("a network that is no file has a supernet and a subnet, and a file has neither")
        return self

    @model_validator(mode="after")
    def _outputs_stay_inside(self) -> Self:
        paths = [relative_path(record.path) for record in self.outputs]
        if len(set(paths)) != len(paths) or MANIFEST in paths:
            raise ValueError(f"outputs must be distinct, without {MANIFEST}: {paths}")
        return self

    @model_validator(mode="after")
    def _classes_are_the_ladders(self) -> Self:
        found = self.classes
        if found is None:
            return self
        for name, right in (
            (found.start, sum(item.right_before for item in found.classes)),
            (found.artifact, sum(item.right for item in found.classes)),
        ):
            fits = [rung for rung in self.ladder if rung.name == name and rung.images == found.images]
            if not any(rung.top1 is not None and round(rung.top1 * found.images) == right for rung in fits):
                raise ValueError(f"{right} of {found.images} images right by class is not what {name!r} has")
        return self

    def _shows_accuracy(self) -> bool:
        accuracies = [value for rung in self.ladder for value in (rung.top1, rung.balanced, rung.score, rung.drop)]
        if self.classes is not None or self.scores is not None or any(value is not None for value in accuracies):
            return True
        search = self.search
        return search is not None and (
            search.objective == "top1" or any(item.measured_top1 is not None for item in search.candidates)
        )


_LARGEST = 64_000_000  # bytes; the largest of ours have some hundred thousand


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Write `folder/manifest.json` atomically and return its SHA-256. Call it last."""
    return write_bytes(folder / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from its file or from the folder that it lies in.

    Raises:
        ConfigError: it is missing, is not a manifest, or was written by another version of the schema.
    """
    file = path / MANIFEST if path.is_dir() else path
    try:
        return Manifest.model_validate_json(read_regular(file, _LARGEST))
    except OSError as error:
        raise ConfigError(
            f"no build in {path}", f"{file}: {error.strerror}", "give a folder that ofa-edge build made"
        ) from error
    except ValidationError as error:
        said = f"{file}: {explain(error, Manifest)}"
        raise ConfigError(f"not a manifest of this version: {file.name}", said, "run ofa-edge build again") from error
