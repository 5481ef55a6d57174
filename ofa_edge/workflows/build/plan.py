"""What a build will do, decided and checked before any work starts."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from ofa_edge.data.calibration import review_calibration
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.tvm.tuning.budget import parse_duration
from ofa_edge.files import sha256_file
from ofa_edge.latency.protocol import LatencyModel, ScaledLatency
from ofa_edge.output import claim_output_folder
from ofa_edge.records.manifest import OWN_IMAGES, CalibrationRecord, FileRecord
from ofa_edge.runtimes import FASTEST, Runtime, Tuning, require
from ofa_edge.search.limits import Limit
from ofa_edge.search.load_predictor import Predictor, fitting, package_predictor
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.ranked_by import Choice, RankedBy, ranked_by
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
from ofa_edge.targets import Sustained, Target, load_target
from ofa_edge.vocabulary import Precision, numbers
from ofa_edge.workflows.build.constraints import Constraints, limits_of, require_able, searched_part
from ofa_edge.workflows.build.contenders import Contenders, contenders_for, predictions_text, require_one_question
from ofa_edge.workflows.build.images import BuildData, build_data
from ofa_edge.workflows.build.quantisation import require_mixable

MEASURED_CANDIDATES, MEASURED_BY_MACS = 8, 32  # with a predictor that ranks, and without one


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
class SearchPlan:
    """What a search needs.

    Attributes:
        target: whose milliseconds count.
        runtime: of the artifact that is searched for.
        precision: likewise.
        package: the supernet, or one given network.
        data: images to calibrate with, and to choose among candidates.
        ranked: what the search goes by.
        latency: predicts milliseconds; of a warm device where `sustained` says so.
        budget_ms: what they may be.
        relative_budget: share of the largest subnet's latency; None where the user gave milliseconds.
        measure: subnets that may be measured.
        seed: of the search.
        constraints: what else the user asked for; `limits` and `part` are made of them.
        limits: what a subnet has to keep besides the budget.
        part: the part of the space that is left; None for all of it.
        sustained: what the target keeps of its speed.
        refined: SHA-256 of the refined latency model's file, where `latency` is not the target's own.
    """

    target: Target
    runtime: Runtime
    precision: Precision
    package: SupernetPackage
    data: BuildData
    ranked: RankedBy
    latency: LatencyModel
    budget_ms: float
    relative_budget: float | None
    measure: int = MEASURED_CANDIDATES
    seed: int = 0
    constraints: Constraints = field(default_factory=Constraints)
    limits: tuple[Limit, ...] = ()
    part: Space | None = None
    sustained: Sustained | None = None
    refined: str = ""

    @property
    def predictor(self) -> Predictor | None:
        """What predicts top-1, be it a line over MACs; None where nothing does."""
        return self.ranked.predictor

    @property
    def latency_digest(self) -> str:
        """SHA-256 of the file that holds the latency model."""
        return self.refined or sha256_file(self.target.latency_path)

    @property
    def cold_budget_ms(self) -> float:
        """What a measured latency is held against: devices are measured cold (see `device.measuring.measure`)."""
        return self.budget_ms / (self.sustained.factor if self.sustained else 1.0)


@dataclass(frozen=True)
class ExportPlan:
    """What the artifact will be.

    Attributes:
        runtime: what will run it.
        precision: of it.
        tuning: of compiled code.
        ranges: what was found about the images that set int8 ranges; None where none do.
        contenders: with `--runtime fastest`, all that are measured in turn; `runtime` is then the one searched for.
    """

    runtime: Runtime
    precision: Precision
    tuning: Tuning
    ranges: CalibrationRecord | None = None
    contenders: Contenders | None = None


@dataclass(frozen=True)
class Plan:
    """A build, resolved: everything is known to exist and to fit together. Each part goes to those who need it."""

    options: BuildOptions
    target: Target
    search: SearchPlan
    export: ExportPlan
    device: DevicePlan
    data: BuildData
    out: Path

    @property
    def package(self) -> SupernetPackage:
        """Where the network comes from."""
        return self.search.package


def make_plan(
    options: BuildOptions, *, claim: bool = True, images: bool = True, predictor: AccuracyPredictor | None = None
) -> Plan:
    """Resolve and check everything that can be known without work.

    Args:
        options: what the user asked for.
        claim: whether something will be written to the output folder, which must then be ours.
        images: whether anything will be measured; a package without images will do where not.
        predictor: in place of the package's own, for a search alone: the key of a build's search does not name it.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    target = load_target(options.target)
    precision = options.precision or target.defaults.precision
    contenders = contenders_for(target, precision) if options.runtime == FASTEST else None
    wanted = contenders.runtimes[0].name if contenders else options.runtime or target.runtime.kind
    runtime = require(target, wanted, precision)
    runtime.require_tools(target)
    if options.latency_ms is not None and not 0 < options.latency_ms < math.inf:
        raise ConfigError("bad budget", f"--latency-ms {options.latency_ms}", "give milliseconds above 0")
    device = _device(options.device, target, runtime)
    tuning = Tuning(parse_duration(options.tune), options.tune_db, device.name)
    if contenders is not None:
        require_one_question(tuning.seconds, options.refine)
    if tuning.seconds:
        runtime.require_tunable(target)
        _require_times(target, device, "tune for", "time on", "--tune")
    if options.refine:
        require_refinable(options, target, device)
    out = options.out or Path("out") / target.name
    if claim:
        claim_output_folder(out)
    package = open_supernet(options.supernet, untrained=options.untrained)
    if contenders is not None:
        said = predictions_text(contenders, target, package.space, precision)
        _require_times(target, device, "compare runtimes for", "measure on", f"--runtime {FASTEST}", said)
    if package.subnet is None:
        require_able(package.name, package.space, target)
    elif options.refine:
        raise UnsupportedError(
            f"--refine has nothing to choose from in '{package.name}'",
            "it is one network, not a supernet",
            "leave out --refine: with --device NAME the network itself is measured",
        )
    for each in contenders.runtimes if contenders else (runtime,):
        require_mixable(options.max_drop, each, precision, package.trained)
    search = _search_plan(options, target, runtime, precision, package, images, predictor)
    ranges = _ranges(package, search.data) if numbers(precision).ranges and images else None
    export = ExportPlan(runtime, precision, tuning, ranges, contenders)
    return Plan(options, target, search, export, device, search.data, out)


def _search_plan(
    options: BuildOptions,
    target: Target,
    runtime: Runtime,
    precision: Precision,
    package: SupernetPackage,
    images: bool,
    predictor: AccuracyPredictor | None,
) -> SearchPlan:
    latency = runtime.latency_model(target, package.space, precision, outside_key=options.outside_key)
    own = package_predictor(package) if predictor is None else fitting(predictor, package)
    ranked = ranked_by(own, options.predictor)
    sustained = _sustained(options, target)
    if sustained is not None:
        latency = ScaledLatency(latency, sustained.factor)
    if ranked.predictor is None:
        _refuse_without_predictor(options, package)
    budget_ms, relative = _budget(options, target, package, latency)
    constraints, space = options.constraints, package.space
    return SearchPlan(
        target=target,
        runtime=runtime,
        precision=precision,
        package=package,
        data=build_data(package, options.data, options.seed, needed=images),
        ranked=ranked,
        latency=latency,
        budget_ms=budget_ms,
        relative_budget=relative,
        measure=options.measure or (MEASURED_BY_MACS if ranked.measures_more else MEASURED_CANDIDATES),
        seed=options.seed,
        constraints=constraints,
        limits=limits_of(constraints, space, runtime, precision, outside_key=options.outside_key),
        part=searched_part(constraints, space, target),
        sustained=sustained,
    )


def with_latency_model(plan: Plan, model: LatencyModel, digest: str) -> Plan:
    """The plan under another latency model: a budget relative to the largest subnet follows it."""
    budget_ms, relative = _budget(plan.options, plan.target, plan.package, model)
    search = replace(plan.search, latency=model, refined=digest, budget_ms=budget_ms, relative_budget=relative)
    return replace(plan, search=search)


def _refuse_without_predictor(options: BuildOptions, package: SupernetPackage) -> None:
    """Raise ConfigError for options that need a predictor of accuracy."""
    if options.measure is not None:
        raise ConfigError(
            "--measure without an accuracy predictor",
            f"'{package.name}' has none, so nothing proposes what to measure",
            "leave out --measure, or train a supernet (its run fits a predictor)",
        )
    if options.constraints.min_accuracy is not None:
        raise ConfigError(
            f"nothing predicts the accuracy of '{package.name}'",
            "--min-accuracy needs a predictor",
            "leave out --min-accuracy, or import the supernet with --predictor",
        )


def _sustained(options: BuildOptions, target: Target) -> Sustained | None:
    """The target's factor where the user asked for it. Raises UnsupportedError or ConfigError."""
    if not options.sustained:
        return None
    if target.sustained is None:
        raise UnsupportedError(
            f"--sustained: how fast {target.name} stays is not known",
            f"{target.path.name} has no [sustained] table: nobody's measurement of its throttled speed is at hand",
            "leave out --sustained, or add the table: factor = warm latency / cold latency, and its source",
        )
    if options.latency_ms is None:
        raise ConfigError(
            "--sustained without --latency-ms",
            "the default budget is a share of the largest subnet's latency, and that share is the same when warm",
            "--latency-ms X, in milliseconds of the warm device",
        )
    return target.sustained


def _budget(
    options: BuildOptions, target: Target, package: SupernetPackage, latency: LatencyModel
) -> tuple[float, float | None]:
    """Milliseconds, and their share of the largest subnet's latency where that is where they come from.

    One given network is not searched for: without --latency-ms it is held against the upper end of its own prediction.
    """
    if options.latency_ms is not None:
        return options.latency_ms, None
    if package.subnet is not None:
        return float(latency.predict(package.subnet).high90), None
    # With a minimum accuracy the latency is minimised, so any budget only limits it.
    relative = target.defaults.relative_budget if options.constraints.min_accuracy is None else 1.0
    return relative * float(latency.predict(package.space.largest()).ms), relative


def _ranges(package: SupernetPackage, data: BuildData) -> CalibrationRecord:
    preprocessing = package.preprocessing(package.space.resolutions[-1])
    return review_calibration(data.calibration, preprocessing, package.labels, data.labelled)


def _device(name: str, target: Target, runtime: Runtime) -> DevicePlan:
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
    _require_times(target, device, "refine the latency model of", "measure on", "--refine")


def _require_times(target: Target, device: DevicePlan, purpose: str, use: str, option: str, besides: str = "") -> None:
    """Raise UnsupportedError where the device gives no times; the words are for the message."""
    besides = f"; {besides}" if besides else ""
    hint = f"--device NAME of the real board (ofa-edge devices list), or leave out {option}"
    if device.emulated:
        what = f"cannot {purpose} {target.name} on an emulated device"
        raise UnsupportedError(what, f"an emulator gives no times{besides}", hint)
    if device.name == "none":
        what = f"cannot {purpose} {target.name} without a device"
        raise UnsupportedError(what, (device.why or f"--device none: nothing to {use}") + besides, hint)


def input_files(target: Target, package: SupernetPackage) -> dict[str, tuple[Path, str]]:
    """Files that the build reads: name in the manifest -> (path, role)."""
    return {
        f"targets/{target.path.name}": (target.path, "target"),
        f"targets/{target.latency_path.name}": (target.latency_path, "latency model"),
        **package_files(package),
    }


def package_files(package: SupernetPackage) -> dict[str, tuple[Path, str]]:
    """Those of them that are a supernet's."""
    files = {}
    weights = package.weights
    for name, role in (
        (weights.name if weights else zoo.WEIGHTS, "weights"),
        (zoo.PREDICTOR, "accuracy predictor"),
        (zoo.IMAGES, "images"),
    ):
        path = package.file(name)
        if path is not None:
            files[f"supernet/{name}"] = (path, role)
    return files


def own_images(data: BuildData) -> tuple[FileRecord, ...]:
    """The sets of images that `--data` gave, by the SHA-256 of their pixels and labels; none without it."""
    if not data.own:
        return ()
    return tuple(
        FileRecord(path=f"data/{split}", role=OWN_IMAGES, sha256=digest, size=getattr(data, split).pixels.nbytes)
        for split, digest in data.digests.items()
    )


def weights_digest(package: SupernetPackage) -> str:
    """What identifies the weights: the file's SHA-256, or the seed of random ones."""
    path = package.weights
    return sha256_file(path) if path else f"untrained seed 0 {package.space.hash}"
