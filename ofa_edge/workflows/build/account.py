"""The account of a build: what was made and seen, and the manifest that says so."""

import datetime
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ofa_edge import __version__
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.files import sha256_file
from ofa_edge.network import Network
from ofa_edge.records.classes import ClassesRecord
from ofa_edge.records.manifest import (
    DropRecord,
    FileRecord,
    InputRecord,
    LatencyPrediction,
    Manifest,
    NetworkRecord,
    OutputRecord,
    PartRecord,
    Rung,
    StatisticsRecord,
    SubnetRecord,
    SupernetRecord,
    TargetRecord,
    Verdict,
)
from ofa_edge.records.mixed import QuantisationRecord
from ofa_edge.records.race import RaceRecord
from ofa_edge.records.refinement import RefinementRecord
from ofa_edge.records.search import SearchRecord, SustainedRecord
from ofa_edge.runtimes import Artifact, Converted, Facts
from ofa_edge.space import Subnet
from ofa_edge.verify.gates import accuracy_verdict, delegation_verdict, latency_verdict, parity_verdict
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.vocabulary import Label
from ofa_edge.workflows.build.on_device import DeviceResult
from ofa_edge.workflows.build.plan import Plan, input_files, own_images
from ofa_edge.workflows.build.stages import StageRunner

PACKAGES = (
    "torch",
    "onnx",
    "onnxsim",
    "onnxruntime",
    "tensorflow-cpu",
    "tensorflow",
    "tflite-support",
    "ai-edge-litert",
    "apache-tvm",
    "apache-tvm-ffi",
    "nvidia-cuda-nvrtc-cu12",
    "numpy",
)


@dataclass(frozen=True)
class Ladder:
    """The rungs, and what was seen on the way up."""

    rungs: tuple[Rung, ...]
    device: DeviceResult | None
    drop: DropRecord | None  # of the artifact against the first rung
    statistics: StatisticsRecord
    skipped: tuple[str, ...] = ()  # what could not be run on this machine
    classes: ClassesRecord | None = None
    quantisation: QuantisationRecord | None = None  # of an int8 artifact, where it was looked into


@dataclass(frozen=True)
class Built:
    """What was made: the network, the artifact of it, and what goes with them."""

    network: Network
    converted: Converted
    artifact: Artifact
    facts: Facts
    inspection: Inspection | None


def file_record(name: str, role: str, path: Path) -> FileRecord:
    """A file as it is now."""
    return FileRecord(path=name, role=role, sha256=sha256_file(path), size=path.stat().st_size)


def manifest_of(
    plan: Plan,
    runner: StageRunner,
    search: SearchRecord | None,
    ladder: Ladder,
    command: Sequence[str],
    built: Built,
    refinement: RefinementRecord | None,
    race: RaceRecord | None,
    outputs: Sequence[FileRecord],
) -> Manifest:
    """The whole account of a build; `outputs` are the files that are in its folder by now."""
    package, target, chosen = plan.package, plan.target, plan.search
    subnet = built.network.origin.subnet
    prediction = _prediction(plan, subnet)
    inputs = input_files(target, package).items()
    return Manifest(
        version=__version__,
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        command=tuple(command),
        seed=plan.options.seed,
        labels=_labels(plan, prediction, ladder),
        target=_target(plan),
        supernet=SupernetRecord(
            name=package.name,
            space=package.space.to_json(),
            space_hash=package.space.hash,
            trained=package.trained,
            dataset=plan.data.source if package.trained else None,
        ),
        subnet=SubnetRecord.of(package.space, subnet),
        network=_network(built.network),
        prediction=prediction,
        search=search,
        budget_ms=chosen.budget_ms,
        sustained=None if chosen.sustained is None else SustainedRecord(**chosen.sustained.model_dump()),
        schedules=built.facts.schedules,
        calibration=plan.export.ranges,
        statistics=ladder.statistics,
        ladder=ladder.rungs,
        measurements=(ladder.device.record,) if ladder.device else (),
        verdicts=verdicts_of(plan, ladder, built.inspection),
        stages=tuple(runner.records),
        inputs=(*(file_record(name, role, path) for name, (path, role) in inputs), *own_images(plan.data)),
        outputs=tuple(outputs),
        versions=_versions(built.artifact.runtime.packages),
        skipped=_skipped(plan, ladder),
        kernels=built.facts.kernels,
        refinement=refinement,
        race=race,
        classes=ladder.classes,
        quantisation=ladder.quantisation,
    )


def _target(plan: Plan) -> TargetRecord:
    target = plan.target
    return TargetRecord(
        name=target.name,
        given="" if plan.options.target == target.name else plan.options.target,
        description=target.description,
        arch=target.hardware.arch,
        cpu=target.hardware.cpu,
        runtime=plan.export.runtime.name,
        threads=target.runtime.threads,
        precision=plan.export.precision,
    )


def _network(network: Network) -> NetworkRecord:
    return NetworkRecord(
        kind=network.origin.kind,
        source=network.origin.source,
        sha256=network.digest,
        macs=network.macs,
        inputs=tuple(
            InputRecord(
                name=each.name,
                shape=each.shape,
                layout=each.layout,
                dtype=each.dtype,
                preprocessing=each.preprocessing.to_json(),
            )
            for each in network.interface.inputs
        ),
        outputs=tuple(
            OutputRecord(name=each.name, shape=each.shape, task=each.task) for each in network.interface.outputs
        ),
    )


def verdicts_of(plan: Plan, ladder: Ladder, inspection: Inspection | None) -> tuple[Verdict, ...]:
    """The end of every gate."""
    measurements = (ladder.device.record,) if ladder.device else ()
    is_target = ladder.device is not None and ladder.device.is_target
    start = ladder.rungs[0]
    artifact = [rung for rung in ladder.rungs if rung.images == start.images][-1]
    return (
        statistics_verdict(ladder.statistics, start.top1, start.images),
        parity_verdict(ladder.rungs),
        accuracy_verdict(start, artifact, ladder.drop, plan.package.space.num_classes),
        *([] if inspection is None else [delegation_verdict(inspection, measurements)]),
        latency_verdict(measurements, plan.search.cold_budget_ms, is_target, plan.device.why),
    )


def _prediction(plan: Plan, subnet: Subnet) -> LatencyPrediction:
    latency = plan.search.latency
    interval, provenance = latency.predict(subnet), latency.provenance
    return LatencyPrediction(
        **{key: float(value) for key, value in interval.to_json().items()},
        kind=latency.kind,
        provenance=provenance.kind,
        source=provenance.fitted_to,
        outside=latency.outside,
        parts=tuple(
            PartRecord(name=part.name, what=part.op, ms=part.ms, bound=part.bound) for part in latency.parts(subnet)
        ),
    )


def _labels(plan: Plan, prediction: LatencyPrediction, ladder: Ladder) -> tuple[Label, ...]:
    labels: list[Label] = []
    if not plan.package.trained:
        labels.append("untrained")
    if ladder.device is not None and ladder.device.record.kind == "emulated":
        labels.append("emulated")
    if prediction.provenance == "analytic":
        labels.append("analytic")
    if prediction.outside:
        labels.append("outside-key")
    return tuple(labels)


def _skipped(plan: Plan, ladder: Ladder) -> tuple[str, ...]:
    skipped = []
    if ladder.device is None:
        skipped.append(f"run on a device: {plan.device.why or '--device none'}")
    skipped += ladder.skipped
    if not plan.package.trained:
        skipped.append("accuracy: the weights are random")
    return tuple(skipped)


def _versions(others: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version(), "ofa-edge": __version__}
    for package in dict.fromkeys((*PACKAGES, *others)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
