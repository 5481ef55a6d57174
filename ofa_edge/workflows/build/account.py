"""The account of a build: what was made and seen, and the manifest that says so."""

import datetime
import functools
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
from ofa_edge.records.interface import InterfaceRecord
from ofa_edge.records.manifest import (
    DropRecord,
    FileRecord,
    LatencyPrediction,
    Manifest,
    Rung,
    StatisticsRecord,
    TargetRecord,
    Tolerance,
    Verdict,
)
from ofa_edge.records.mixed import QuantisationRecord
from ofa_edge.records.network import InputRecord, NetworkRecord, OutputRecord, SubnetRecord, SupernetRecord
from ofa_edge.records.race import RaceRecord
from ofa_edge.records.scores import ScoresByClass
from ofa_edge.records.search import SearchRecord
from ofa_edge.runtimes import Artifact, Converted, Facts
from ofa_edge.schema import changed
from ofa_edge.verify.gates import accuracy_verdict, delegation_verdict, latency_verdict, pages_verdict, parity_verdict
from ofa_edge.verify.ladder import EXACT, Answers
from ofa_edge.verify.npu_gates import npu_verdicts
from ofa_edge.verify.scoring.base import BadAnswer
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.vocabulary import UNMEASURED, Label, PictureKind
from ofa_edge.workflows.build.base import Plan, own_images
from ofa_edge.workflows.build.on_device import DeviceResult
from ofa_edge.workflows.build.plan import SupernetPlan
from ofa_edge.workflows.build.refine import Refined
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
class Start:
    """What a build has when its network is there.

    Attributes:
        network: that everything is made from.
        first: the answers that all others are held against.
        between: those of steps before the ONNX file, in order; each must be exact.
        exported: what the ONNX file is held to.
        rounded: of a network that was trained for int8, answers of the form that was trained.
        statistics: of its batch norms, where they were set here.
        search: how it was found, if it was.
        refined: how the latency model was corrected, if it was.
        changes: what was done to a given file.
        assumed: what a given file does not say.
        inside: the network with its suppression inside, where the artifact is to have it so.
    """

    network: Network
    first: Answers
    between: tuple[Answers, ...] = ()
    exported: Tolerance = EXACT
    rounded: Answers | None = None
    statistics: StatisticsRecord | None = None
    search: SearchRecord | None = None
    refined: Refined | None = None
    changes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    inside: Network | None = None


@dataclass(frozen=True)
class Ladder:
    """The rungs, and what was seen on the way up."""

    rungs: tuple[Rung, ...]
    device: DeviceResult | None
    drop: DropRecord | None  # of the artifact against the first rung
    skipped: tuple[str, ...] = ()  # what could not be run on this machine
    classes: ClassesRecord | None = None
    scores: ScoresByClass | None = None
    chance: float = 0.0  # accuracy that proves nothing
    quantisation: QuantisationRecord | None = None  # of an int8 artifact, where it was looked into
    worst: tuple[BadAnswer, ...] = ()  # of the artifact


@dataclass(frozen=True)
class Built:
    """What was made: the network, the artifact of it, and what goes with them.

    Attributes:
        network: what the artifact answers as.
        converted: the artifact's file, as its stage left it.
        artifact: what devices run.
        facts: of its making.
        inspection: what a delegate does with it.
        bare: the same without suppression, where that is inside.
    """

    network: Network
    converted: Converted
    artifact: Artifact
    facts: Facts
    inspection: Inspection | None
    bare: Converted | None = None

    @property
    def raw(self) -> Converted:
        """What gives raw outputs."""
        return self.bare or self.converted

    @functools.cached_property
    def interface(self) -> InterfaceRecord:
        """Of the artifact."""
        runtime = self.artifact.runtime
        tensors = runtime.tensors(self.artifact.path, self.network)
        return self.network.interface.record(runtime.artifact_name, tensors)


def file_record(name: str, role: str, path: Path) -> FileRecord:
    """A file as it is now."""
    return FileRecord(path=name, role=role, sha256=sha256_file(path), size=path.stat().st_size)


def manifest_of(
    plan: Plan,
    runner: StageRunner,
    start: Start,
    ladder: Ladder,
    command: Sequence[str],
    built: Built,
    race: RaceRecord | None,
    outputs: Sequence[FileRecord],
) -> Manifest:
    """The whole account of a build; `outputs` are the files that are in its folder by now."""
    network = built.network
    prediction = _prediction(plan, start)
    supernet, subnet = _cut_from(plan, network)
    return Manifest(
        version=__version__,
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        command=tuple(command),
        seed=plan.options.seed,
        labels=_labels(network, prediction, ladder),
        target=_target(plan),
        supernet=supernet,
        subnet=subnet,
        network=_network(network, plan.dataset, start, plan.data.kinds),
        prediction=prediction,
        search=start.search,
        budget_ms=plan.budget_ms,
        sustained=plan.sustained,
        schedules=built.facts.schedules,
        calibration=plan.export.ranges,
        statistics=start.statistics,
        ladder=ladder.rungs,
        measurements=(ladder.device.record,) if ladder.device else (),
        verdicts=verdicts_of(plan, start, ladder, built),
        stages=tuple(runner.records),
        inputs=(
            *(file_record(name, role, path) for name, (path, role) in plan.inputs().items()),
            *own_images(plan.data),
        ),
        outputs=tuple(outputs),
        versions=_versions(built.artifact.runtime.packages),
        skipped=_skipped(plan, ladder, network, prediction),
        kernels=built.facts.kernels,
        refinement=None if start.refined is None else start.refined.record,
        race=race,
        classes=ladder.classes,
        scores=ladder.scores,
        quantisation=ladder.quantisation,
        interface=built.interface,
        npu=built.facts.npu,
    )


def _prediction(plan: Plan, start: Start) -> LatencyPrediction | None:
    """Of the network as it is converted: what suppression takes depends on what is found, and no model knows it."""
    found = plan.predict(start.network)
    if found is None or start.inside is None:
        return found
    return changed(found, outside=(*found.outside, "decoding and suppression inside the artifact are not in it"))


def _cut_from(plan: Plan, network: Network) -> tuple[SupernetRecord | None, SubnetRecord | None]:
    """The supernet and the subnet, of a network that has them."""
    subnet = network.origin.subnet
    if not isinstance(plan, SupernetPlan) or subnet is None:
        return None, None
    package = plan.package
    space = package.space
    record = SupernetRecord(name=package.name, space=space.to_json(), space_hash=space.hash)
    return record, SubnetRecord.of(space, subnet)


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


def _network(network: Network, dataset: str | None, start: Start, pictures: tuple[PictureKind, ...]) -> NetworkRecord:
    return NetworkRecord(
        kind=network.origin.kind,
        source=network.origin.source,
        sha256=network.digest,
        macs=network.macs,
        params=network.params,
        trained=network.origin.trained,
        licences=network.origin.licences,
        ranges=network.ranges,
        dataset=dataset,
        pictures=pictures,
        changes=start.changes,
        assumed=start.assumed,
        inputs=tuple(
            InputRecord(
                name=each.name,
                shape=each.shape,
                layout=None if each.preprocessing is None else "NCHW",
                dtype=each.dtype,
                preprocessing=None if each.preprocessing is None else each.preprocessing.to_json(),
            )
            for each in network.interface.inputs
        ),
        decoding=None if network.interface.decoding is None else network.interface.decoding.to_json(),
        outputs=tuple(
            OutputRecord(name=each.name, shape=each.shape, task=each.task, layout=each.layout, threshold=each.threshold)
            for each in network.interface.outputs
        ),
    )


def verdicts_of(plan: Plan, start: Start, ladder: Ladder, built: Built) -> tuple[Verdict, ...]:
    """The end of every gate."""
    network, inspection = built.network, built.inspection
    measurements = (ladder.device.record,) if ladder.device else ()
    is_target = ladder.device is not None and ladder.device.is_target
    first, statistics = ladder.rungs[0], start.statistics
    artifact = [rung for rung in ladder.rungs if rung.images == first.images][-1]
    pages = pages_verdict(built.artifact.path) if plan.target.android else None
    return (
        *([] if statistics is None else [statistics_verdict(statistics, first.top1, first.images)]),
        parity_verdict(ladder.rungs),
        accuracy_verdict(first, artifact, ladder.drop, ladder.chance, trained=network.origin.trained),
        *([] if inspection is None else [delegation_verdict(inspection, measurements)]),
        *([] if pages is None else [pages]),
        *([] if built.facts.npu is None else npu_verdicts(built.facts.npu)),
        latency_verdict(measurements, plan.cold_budget_ms, is_target, plan.device.why),
    )


def _labels(network: Network, prediction: LatencyPrediction | None, ladder: Ladder) -> tuple[Label, ...]:
    labels: list[Label] = []
    if not network.origin.trained:
        labels.append("untrained")
    if ladder.device is not None and ladder.device.record.kind == "emulated":
        labels.append("emulated")
    labels += [each for each in UNMEASURED if prediction is not None and prediction.provenance == each]
    if prediction is not None and prediction.outside:
        labels.append("outside-key")
    return tuple(labels)


def _skipped(plan: Plan, ladder: Ladder, network: Network, prediction: LatencyPrediction | None) -> tuple[str, ...]:
    skipped = []
    if ladder.device is None:
        skipped.append(f"run on a device: {plan.device.why or '--device none'}")
    skipped += ladder.skipped
    if not network.origin.trained:
        skipped.append("accuracy: the weights are random")
    elif not plan.data.judged:
        skipped.append("accuracy: no labelled images were given")
    if prediction is None:
        skipped.append(f"a predicted latency: no latency model of {plan.target.name} takes this network")
    return tuple(skipped)


def _versions(others: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version(), "ofa-edge": __version__}
    for package in dict.fromkeys((*PACKAGES, *others)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
