"""What a build will do, decided and checked before any work starts."""

import importlib.util
import math
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from ofa_edge.data.calibration import Calibration, review_calibration
from ofa_edge.errors import ConfigError, ToolMissingError, UnknownNameError, UnsupportedError
from ofa_edge.export.tvm.tuning.budget import parse_duration
from ofa_edge.files import sha256_file
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.protocol import LatencyModel, ScaledLatency
from ofa_edge.output import claim_output_folder
from ofa_edge.records.manifest import OWN_IMAGES, FileRecord
from ofa_edge.search.limits import Limit
from ofa_edge.search.load_predictor import Predictor, package_predictor
from ofa_edge.search.ranked_by import Choice, RankedBy, ranked_by
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
from ofa_edge.targets import Precision, Sustained, Target, load_target, require, require_fp16_accumulation
from ofa_edge.workflows.build.constraints import Constraints, limits_of, require_able, searched_part
from ofa_edge.workflows.build.images import BuildData, folder_data, package_data, synthetic_data

Runtime = Literal["tflite", "tvm"]
MEASURED_CANDIDATES, MEASURED_BY_MACS = 8, 32  # with a predictor that ranks, and without one
_INSTALL = {
    "tensorflow": "pip install -c constraints.txt tensorflow-cpu",
    "tensorflow_lite_support": "pip install --no-deps tflite-support==0.4.4",
    "tvm": "pip install -c constraints.txt apache-tvm apache-tvm-ffi",
}


@dataclass(frozen=True)
class BuildOptions:
    """What the user asked for; None means the target's or the package's default."""

    target: str
    latency_ms: float | None = None
    precision: Precision | None = None
    runtime: Runtime | None = None
    supernet: str = zoo.DEFAULT
    untrained: bool = False
    data: Path | None = None
    device: str = "auto"
    out: Path | None = None
    seed: int = 0
    fp16_accumulation: bool = False
    outside_key: bool = False
    tune: str = "0"
    tune_db: bool = True
    refine: int = 0  # candidates to measure a round
    measure: int | None = None
    predictor: Choice = "auto"
    sustained: bool = False
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
class Plan:
    """A build, resolved: everything is known to exist and to fit together."""

    options: BuildOptions
    target: Target
    runtime: Runtime
    precision: Precision
    package: SupernetPackage
    ranked: RankedBy
    latency: LatencyModel
    data: BuildData
    device: DevicePlan
    out: Path
    budget_ms: float
    relative_budget: float | None  # None where the user gave milliseconds
    fp16_accumulation: bool = False
    calibration: Calibration | None = None  # of the images that set int8 ranges
    tune_s: float = 0.0
    measure: int = MEASURED_CANDIDATES  # subnets that the search may measure
    sustained: Sustained | None = None  # where `latency` is of a warm device
    limits: tuple[Limit, ...] = ()  # what a searched subnet has to keep besides its budget
    part: Space | None = None  # the part of the space that the target and the options leave; None: all of it

    @property
    def predictor(self) -> Predictor | None:
        """What predicts top-1, be it a line over MACs; None where nothing does."""
        return self.ranked.predictor

    @property
    def cold_budget_ms(self) -> float:
        """What a measured latency is held against: devices are measured cold (see `device.measuring.measure`)."""
        return self.budget_ms / (self.sustained.factor if self.sustained else 1.0)

    refined: str = ""  # SHA-256 of the refined model's file, where `latency` is not the target's own

    @property
    def latency_digest(self) -> str:
        """SHA-256 of the file that holds the latency model."""
        return self.refined or sha256_file(self.target.latency_path)

    @property
    def cuda(self) -> bool:
        """Whether the artifact holds CUDA kernels."""
        return self.runtime == "tvm" and self.tvm_target.get("kind") == "cuda"

    @property
    def tvm_target(self) -> Mapping[str, object]:
        """TVM's description of the target."""
        options = self.target.runtime.tvm
        if options is None:
            raise ConfigError(
                f"{self.target.name} has no TVM target", f"{self.target.path}: no [runtime.tvm]", "--runtime tflite"
            )
        return cast(Mapping[str, object], options.target)

    @property
    def precision_name(self) -> str:
        """The precision in words, the accumulation with it."""
        return self.precision + (", fp16 sums" if self.fp16_accumulation else "")

    @property
    def artifact_name(self) -> str:
        """The artifact's file name."""
        return "model.tflite" if self.runtime == "tflite" else "model.so"


def make_plan(options: BuildOptions, *, claim: bool = True, images: bool = True) -> Plan:
    """Resolve and check everything that can be known without work.

    Args:
        options: what the user asked for.
        claim: whether something will be written to the output folder, which must then be ours.
        images: whether anything will be measured; a package without images will do where not.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    target = load_target(options.target)
    runtime = options.runtime or target.runtime.kind
    precision = options.precision or ("fp16" if options.fp16_accumulation else target.defaults.precision)
    require(target, runtime, precision)
    if options.fp16_accumulation:
        require_fp16_accumulation(target, runtime, precision)
    require_tools(runtime, target.hardware.arch)
    if options.latency_ms is not None and not 0 < options.latency_ms < math.inf:
        raise ConfigError("bad budget", f"--latency-ms {options.latency_ms}", "give milliseconds above 0")
    device = _device(options.device, target, runtime)
    tune_s = parse_duration(options.tune)
    if tune_s:
        _require_timeable(target, runtime, device)
    if options.refine:
        require_refinable(options, target, device)
    out = options.out or Path("out") / target.name
    if claim:
        claim_output_folder(out)
    package = open_supernet(options.supernet, untrained=options.untrained)
    if package.subnet is None:
        require_able(package.name, package.space, target)
    elif options.refine:
        raise UnsupportedError(
            f"--refine has nothing to choose from in '{package.name}'",
            "it is one network, not a supernet",
            "leave out --refine: with --device NAME the network itself is measured",
        )
    latency = load_latency_model(target, package.space, runtime, precision, outside_key=options.outside_key)
    ranked = ranked_by(package_predictor(package), options.predictor)
    sustained = _sustained(options, target)
    if sustained is not None:
        latency = ScaledLatency(latency, sustained.factor)
    if ranked.predictor is None:
        _refuse_without_predictor(options, package)
    budget_ms, relative = _budget(options, target, package, latency)
    data = _data(options, package, images)
    return Plan(
        options=options,
        target=target,
        runtime=runtime,
        precision=precision,
        package=package,
        ranked=ranked,
        latency=latency,
        data=data,
        device=device,
        out=out,
        budget_ms=budget_ms,
        relative_budget=relative,
        fp16_accumulation=options.fp16_accumulation,
        calibration=_calibration(package, data) if precision == "int8" and images else None,
        tune_s=tune_s,
        measure=options.measure or (MEASURED_BY_MACS if ranked.measures_more else MEASURED_CANDIDATES),
        sustained=sustained,
        limits=limits_of(options.constraints, package.space, runtime, precision, outside_key=options.outside_key),
        part=searched_part(options.constraints, package.space, target),
    )


def with_latency_model(plan: Plan, model: LatencyModel, digest: str) -> Plan:
    """The plan under another latency model: a budget relative to the largest subnet follows it."""
    budget_ms, relative = _budget(plan.options, plan.target, plan.package, model)
    return replace(plan, latency=model, refined=digest, budget_ms=budget_ms, relative_budget=relative)


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


def require_tools(runtime: Runtime, arch: str) -> None:
    """Raise ToolMissingError, before any work, for what the stages of this runtime need."""
    modules = {"tflite": ("tensorflow", "tensorflow_lite_support"), "tvm": ("tvm",)}[runtime]
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ToolMissingError(f"{module} is not installed", f"runtime {runtime} needs it", _INSTALL[module])
    compiler = f"{arch}-linux-gnu-g++"
    if runtime == "tvm" and arch != platform.machine() and shutil.which(compiler) is None:
        raise ToolMissingError(
            f"no compiler for {arch}",
            f"{compiler} links the library",
            f"apt-get install g++-{arch.replace('_', '-')}-linux-gnu",
        )


def _data(options: BuildOptions, package: SupernetPackage, needed: bool) -> BuildData:
    if options.data and not package.trained:
        raise ConfigError(
            "--data with random weights", "accuracy on them would mean nothing", "leave out --data or --untrained"
        )
    if not package.trained or not (needed or package.file(zoo.IMAGES)):
        return synthetic_data(package)
    return folder_data(options.data, package, options.seed) if options.data else package_data(package)


def _calibration(package: SupernetPackage, data: BuildData) -> Calibration:
    preprocessing = package.preprocessing(package.space.resolutions[-1])
    return review_calibration(data.calibration, preprocessing, package.labels, data.labelled)


def _device(name: str, target: Target, runtime: Runtime) -> DevicePlan:
    """Resolve "auto": this machine for the target `host`, else an emulated device where one can be had."""
    from ofa_edge.device.emulation.emulated import emulation_available
    from ofa_edge.device.registry.devices_file import BUILTIN, EMULATED, devices_path, load_devices

    if name != "auto":
        if name not in BUILTIN and name not in (own := load_devices()):
            hint = f"ofa-edge devices list, or add [devices.{name}] to {devices_path()}"
            raise UnknownNameError.of("device", name, ["auto", *BUILTIN, *own], hint)
        if name in EMULATED and target.emulation is None:
            why = "it is this machine" if target.at_hand else "no [emulation] table: nothing here runs its GPU"
            hint = "--device local" if target.at_hand else "--device none"
            raise UnsupportedError(f"{target.name} cannot be emulated", f"{target.path}: {why}", hint)
        why_not = emulation_available(target.hardware.arch) if name in EMULATED else None
        if why_not:
            raise ToolMissingError("no emulated device", why_not, "--device none, or ofa-edge doctor")
        return DevicePlan(name)
    if target.at_hand:
        return DevicePlan("local")
    if target.emulation is None:
        return DevicePlan("none", f"{target.name} cannot be emulated, and no device was given")
    if runtime == "tvm" and "android" in str(target.facts()):
        return DevicePlan("none", "an Android library needs bionic, which the emulated device does not have")
    why_not = emulation_available(target.hardware.arch)
    return DevicePlan("none", f"no emulated device: {why_not}") if why_not else DevicePlan("emulated")


def _require_timeable(target: Target, runtime: Runtime, device: DevicePlan) -> None:
    """Raise UnsupportedError where `--tune` has nothing to turn, or nothing to time it on."""
    if runtime != "tvm":
        raise UnsupportedError(
            f"--tune does nothing for {runtime}", "it turns the schedules of TVM's code", "--runtime tvm"
        )
    if target.runtime.tvm is not None and target.runtime.tvm.target.get("kind") == "cuda":
        raise UnsupportedError(
            f"--tune cannot turn the CUDA kernels of {target.name}", "it knows schedules of CPUs", "leave out --tune"
        )
    hint = "--device NAME of the real board (ofa-edge devices list), or leave out --tune"
    if device.emulated:
        raise UnsupportedError(
            f"cannot tune for {target.name} on an emulated device", "an emulator gives no times", hint
        )
    if device.name == "none":
        raise UnsupportedError(
            f"cannot tune for {target.name} without a device", device.why or "--device none: nothing to time on", hint
        )


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
    hint = "--device NAME of the real board (ofa-edge devices list), or leave out --refine"
    if device.emulated:
        raise UnsupportedError(
            f"cannot refine the latency model of {target.name} on an emulated device",
            "an emulator gives no times",
            hint,
        )
    if device.name == "none":
        raise UnsupportedError(
            f"cannot refine the latency model of {target.name} without a device",
            device.why or "--device none: nothing to measure on",
            hint,
        )


def input_files(plan: Plan) -> dict[str, tuple[Path, str]]:
    """Files that the build reads: name in the manifest -> (path, role)."""
    files = {
        f"targets/{plan.target.path.name}": (plan.target.path, "target"),
        f"targets/{plan.target.latency_path.name}": (plan.target.latency_path, "latency model"),
    }
    weights = plan.package.weights
    for name, role in (
        (weights.name if weights else zoo.WEIGHTS, "weights"),
        (zoo.PREDICTOR, "accuracy predictor"),
        (zoo.IMAGES, "images"),
    ):
        path = plan.package.file(name)
        if path is not None:
            files[f"supernet/{name}"] = (path, role)
    return files


def own_images(plan: Plan) -> tuple[FileRecord, ...]:
    """The sets of images that `--data` gave, by the SHA-256 of their pixels and labels; none without it."""
    if plan.options.data is None:
        return ()
    return tuple(
        FileRecord(path=f"data/{split}", role=OWN_IMAGES, sha256=digest, size=getattr(plan.data, split).pixels.nbytes)
        for split, digest in plan.data.digests.items()
    )


def weights_digest(plan: Plan) -> str:
    """What identifies the weights: the file's SHA-256, or the seed of random ones."""
    path = plan.package.weights
    return sha256_file(path) if path else f"untrained seed 0 {plan.package.space.hash}"
