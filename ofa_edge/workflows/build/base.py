"""What every plan of a build has, wherever its network comes from: what it becomes, where it runs, on which images."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ofa_edge.data.dataset import Samples
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.tvm.tuning.budget import parse_duration
from ofa_edge.latency.protocol import Interval, Provenance, Share
from ofa_edge.network import Network
from ofa_edge.output import claim_output_folder
from ofa_edge.records.manifest import OWN_IMAGES, CalibrationRecord, FileRecord, LatencyPrediction, PartRecord
from ofa_edge.records.search import SustainedRecord, cold_budget
from ofa_edge.runtimes import FASTEST, DropLimit, Runtime, Tuning, require
from ofa_edge.search.ranked_by import Choice
from ofa_edge.supernet import zoo
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import Fit, Form, Precision, Suppression, Task
from ofa_edge.workflows.build.constraints import Constraints
from ofa_edge.workflows.build.contenders import Contenders, contenders_for, require_one_question
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.quantisation import limit_of, require_mixable


@dataclass(frozen=True)
class ModelOptions:
    """A network that is given as a file, and what it does not say of itself. None: as the file says, or assumed.

    Attributes:
        file: an ONNX file.
        labels: a file with a class a line, in the order of the outputs.
        task: what the output says.
        shape: of the input, where the file leaves sizes free: 1x3x224x224; of several NAME=1x3x224x224,OTHER=1x5.
        output: the one that counts, where not all of several do.
        mean, std: by channel, of pixels 0..255.
        fit: how a picture of another shape becomes the input.
        decode: what a detector's outputs are.
        anchors: of heads that are cut before them: width and height of each, in pixels, the finest scale's first.
        priors: a .npz file of the boxes that a detector's outputs are offsets from (see `data.priors`).
        suppress: where a detector's boxes are decoded and suppressed; outside by default.
    """

    file: Path
    labels: Path | None = None
    task: Task | None = None
    shape: str | None = None
    output: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fit: Fit | None = None
    decode: Form | None = None
    anchors: tuple[float, ...] | None = None
    priors: Path | None = None
    suppress: Suppression | None = None


def given_model(file: Path | None, **values: Any) -> ModelOptions | None:
    """What was said of a network that is given as a file; None where nothing is. Raises ConfigError for half of it."""
    if file is not None:
        return ModelOptions(file, **values)
    for name, value in values.items():
        if value is not None:
            what, hint = f"--{name} without --model", f"--model FILE.onnx --{name} ..."
            raise ConfigError(what, "a supernet says that itself", hint)
    return None


@dataclass(frozen=True)
class BuildOptions:
    """What the user asked for; None means the target's or the package's default."""

    target: str
    latency_ms: float | None = None
    precision: Precision | None = None
    runtime: str | None = None
    supernet: str = zoo.DEFAULT
    untrained: bool = False
    data: Path | None = None
    device: str = "auto"
    out: Path | None = None
    seed: int = 0
    outside_key: bool = False
    tune: str = "0"
    tune_db: bool = True
    refine: int = 0  # candidates to measure a round
    measure: int | None = None
    predictor: Choice = "auto"
    sustained: bool = False
    max_drop: str | None = None  # what an int8 artifact may lose
    constraints: Constraints = field(default_factory=Constraints)
    model: ModelOptions | None = None  # in place of a supernet
    photos: bool = True  # whether the output folder may hold some of the test images

    def given(self) -> dict[str, Any]:
        """The values that are not defaults."""
        usual = type(self)(self.target)
        names = (each.name for each in dataclasses.fields(self))
        return {name: value for name in names if (value := getattr(self, name)) != getattr(usual, name)}


@dataclass(frozen=True)
class DevicePlan:
    """Where the artifact is run: a device's name or "none", and why, in words."""

    name: str
    why: str = ""

    @property
    def emulated(self) -> bool:
        """Whether its name says that it gives no times; a device of the user's is asked itself."""
        from ofa_edge.device.registry.devices_file import EMULATED

        return self.name in EMULATED


@dataclass(frozen=True)
class ExportPlan:
    """What the artifact will be.

    Attributes:
        runtime: what will run it.
        precision: of it.
        tuning: of compiled code.
        ranges: what was found about the images that set int8 ranges; None where none do.
        contenders: with `--runtime fastest`, all that are measured in turn; `runtime` is then the one searched for.
        limit: what an int8 artifact may lose; None where nothing was said.
    """

    runtime: Runtime
    precision: Precision
    tuning: Tuning
    ranges: CalibrationRecord | None = None
    contenders: Contenders | None = None
    limit: DropLimit | None = None


@dataclass(frozen=True)
class Plan(ABC):
    """A build, resolved: everything is known to exist and to fit together. Each part goes to those who need it.

    Attributes:
        options: what the user asked for.
        target: what is built for.
        export: what the artifact will be.
        device: where it is run.
        data: what it is run on, and int8 ranges are set on.
        out: the output folder.
    """

    options: BuildOptions
    target: Target
    export: ExportPlan
    device: DevicePlan
    data: BuildData[Samples]
    out: Path

    @property
    @abstractmethod
    def budget_ms(self) -> float | None:
        """What the latency may be, if anything was said."""

    @property
    def sustained(self) -> SustainedRecord | None:
        """What the target keeps of its speed, where the budget is of a warm device."""
        return None

    @property
    def cold_budget_ms(self) -> float | None:
        """What a measured latency is held against: devices are measured cold (see `device.measuring.measure`)."""
        return cold_budget(self.budget_ms, self.sustained)

    @property
    def searched_for(self) -> str | None:
        """The runtime whose latency model the network was searched with, if it was searched for."""
        return None

    @property
    @abstractmethod
    def dataset(self) -> str | None:
        """What accuracy is measured on, in words; None where it means nothing."""

    @abstractmethod
    def predict(self, network: Network) -> LatencyPrediction | None:
        """What the latency model of the artifact's runtime says; None where there is none for such a network."""

    @abstractmethod
    def inputs(self) -> dict[str, tuple[Path, str]]:
        """Files that the build reads: name in the manifest -> (path, role)."""


@dataclass(frozen=True)
class Resolved:
    """What options say of target, runtime and device, whatever the network."""

    target: Target
    runtime: Runtime
    precision: Precision
    contenders: Contenders | None
    device: DevicePlan
    tuning: Tuning
    out: Path
    max_drop: str | None

    def export(self, ranges: CalibrationRecord | None, data: BuildData[Samples]) -> ExportPlan:
        """What the artifact will be, on such data. Raises ConfigError for a `--max-drop` that they cannot tell."""
        limit = limit_of(self.max_drop, data)
        return ExportPlan(self.runtime, self.precision, self.tuning, ranges, self.contenders, limit)


def resolve(options: BuildOptions, *, claim: bool, make: bool = True) -> Resolved:
    """Check what can be known without the network.

    Args:
        options: what the user asked for.
        claim: whether something will be written to the output folder, which must then be ours.
        make: whether anything will be made; a search needs no converter.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    target = load_target(options.target)
    precision = options.precision or target.defaults.precision
    contenders = contenders_for(target, precision) if options.runtime == FASTEST else None
    wanted = contenders.runtimes[0].name if contenders else options.runtime or target.runtime.kind
    runtime = require(target, wanted, precision)
    if make:
        if (why := runtime.why_not_made(target)) is not None:
            raise UnsupportedError(
                f"nothing can be built for {target.name}",
                why,
                "ofa-edge search, predict, calibrate and codesign take it; ofa-edge targets list: what builds are for",
            )
        runtime.require_tools(target)
    for each in contenders.runtimes if contenders else (runtime,):
        require_mixable(options.max_drop, each, precision)
    if options.latency_ms is not None and not 0 < options.latency_ms < math.inf:
        raise ConfigError("bad budget", f"--latency-ms {options.latency_ms}", "give milliseconds above 0")
    device = chosen_device(options.device, target, runtime)
    tuning = Tuning(parse_duration(options.tune), options.tune_db, device.name)
    if contenders is not None:
        require_one_question(tuning.seconds, options.refine)
    if tuning.seconds:
        runtime.require_tunable(target)
        require_times(target, device, "tune for", "time on", "--tune")
    if options.refine:
        require_refinable(options, target, device)
    out = options.out or Path("out") / target.name
    if claim:
        claim_output_folder(out)
    return Resolved(target, runtime, precision, contenders, device, tuning, out, options.max_drop)


def chosen_device(name: str, target: Target, runtime: Runtime) -> DevicePlan:
    """Resolve "auto": this machine for the target `host`, else an emulated device where one can be had."""
    from ofa_edge.device.access import require_device
    from ofa_edge.device.emulation.emulated import emulation_available

    if name != "auto":
        require_device(name, target)
        return DevicePlan(name)
    if target.at_hand:
        return DevicePlan("local")
    if target.emulation is None:
        return DevicePlan("none", f"{target.name} cannot be emulated, and no device was given")
    if (impossible := runtime.why_not_emulated(target)) is not None:
        return DevicePlan("none", impossible)
    why_not = emulation_available(target.hardware.arch)
    return DevicePlan("none", f"no emulated device: {why_not}") if why_not else DevicePlan("emulated")


def require_refinable(options: BuildOptions, target: Target, device: DevicePlan) -> None:
    """Raise a UsageError where `--refine` has nothing to measure on."""
    if options.refine < 1:
        words = f"--refine {options.refine}"
        raise ConfigError("bad number of candidates", words, "give 1 or more, or leave out --refine")
    if options.sustained:
        raise UnsupportedError(
            "--refine with --sustained",
            "candidates are measured cold, the budget is of a warm device",
            "use one of them",
        )
    require_times(target, device, "refine the latency model of", "measure on", "--refine")


def require_times(target: Target, device: DevicePlan, purpose: str, use: str, option: str, besides: str = "") -> None:
    """Raise UnsupportedError where the device gives no times; the words are for the message."""
    besides = f"; {besides}" if besides else ""
    hint = f"--device NAME of the real board (ofa-edge devices list), or leave out {option}"
    if device.emulated:
        what = f"cannot {purpose} {target.name} on an emulated device"
        raise UnsupportedError(what, f"an emulator gives no times{besides}", hint)
    if device.name == "none":
        what = f"cannot {purpose} {target.name} without a device"
        raise UnsupportedError(what, (device.why or f"--device none: nothing to {use}") + besides, hint)


def own_images(data: BuildData[Samples]) -> tuple[FileRecord, ...]:
    """The sets of images that `--data` gave, by the SHA-256 of their pixels and labels; none without it."""
    if not data.own:
        return ()
    sizes = {split: data.of(split).nbytes for split in data.digests}
    return tuple(
        FileRecord(path=f"data/{split}", role=OWN_IMAGES, sha256=digest, size=sizes[split])
        for split, digest in data.digests.items()
    )


def target_files(target: Target) -> dict[str, tuple[Path, str]]:
    """Files of a target that a build reads: name in the manifest -> (path, role)."""
    return {
        f"targets/{target.path.name}": (target.path, "target"),
        f"targets/{target.latency_path.name}": (target.latency_path, "latency model"),
    }


def prediction_record(
    kind: Literal["analytic", "table", "fitted"],
    interval: Interval,
    provenance: Provenance,
    outside: Sequence[str],
    parts: Sequence[Share],
) -> LatencyPrediction:
    """What a latency model says of one network, for the manifest."""
    return LatencyPrediction(
        **{key: float(value) for key, value in interval.to_json().items()},
        kind=kind,
        provenance=provenance.kind,
        source=provenance.fitted_to,
        outside=tuple(outside),
        parts=tuple(PartRecord(name=part.name, what=part.op, ms=part.ms, bound=part.bound) for part in parts),
    )
