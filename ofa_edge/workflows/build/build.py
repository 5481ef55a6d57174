"""The build itself: stages in order, then the ladder, the verdicts, the report, and last the manifest."""

import datetime
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from ofa_edge import __version__, cost
from ofa_edge.cache import CacheEntry, StageCache
from ofa_edge.data.sampling import stratified
from ofa_edge.errors import UnsupportedError
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.files import copy_file, sha256_file, write_bytes
from ofa_edge.output import output_folder
from ofa_edge.records.classes import ClassesRecord
from ofa_edge.records.manifest import (
    CalibrationRecord,
    DropRecord,
    FileRecord,
    Label,
    LatencyPrediction,
    Manifest,
    PartRecord,
    Rung,
    StatisticsRecord,
    SubnetRecord,
    SupernetRecord,
    TargetRecord,
    Tolerance,
    Verdict,
    write_manifest,
)
from ofa_edge.records.schedules import KernelRecord, SchedulesRecord
from ofa_edge.records.search import SearchRecord, SustainedRecord
from ofa_edge.report import write_report
from ofa_edge.space import Subnet
from ofa_edge.supernet import zoo
from ofa_edge.verify.classes import classes_record
from ofa_edge.verify.gates import accuracy_verdict, delegation_verdict, latency_verdict, parity_verdict
from ofa_edge.verify.ladder import (
    EXACT,
    Answers,
    accuracy_drop,
    conversion_tolerance,
    device_tolerance,
    first_rung,
    rung,
)
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.on_device import DeviceResult, run_on_device
from ofa_edge.workflows.build.plan import Plan, input_files, own_images
from ofa_edge.workflows.build.refine import check_refinable, refine
from ofa_edge.workflows.build.search import run_search
from ofa_edge.workflows.build.stages import KERNELS, MODEL, OnStage, StageRunner, load_logits
from ofa_edge.workflows.build.statistics import check_statistics
from ofa_edge.workflows.build.tune import Tuned, check_device, tuned_library

REPORT = "report.html"
# The most that CUDA kernels are emulated on: a minute or less.
EMULATED_IMAGES, EMULATED_MACS = 32, 10_000_000_000
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
class _Ladder:
    """The rungs, and what was seen on the way up."""

    rungs: tuple[Rung, ...]
    device: DeviceResult | None
    drop: DropRecord | None  # of the artifact against the first rung
    statistics: StatisticsRecord
    not_emulated: str = ""  # why CUDA kernels could not be run on the CPU either
    classes: ClassesRecord | None = None


@dataclass(frozen=True)
class _Built:
    """The files that go into the output folder, by name."""

    artifact: Path
    onnx: Path
    extra: tuple[tuple[str, Path], ...] = ()
    schedules: SchedulesRecord | None = None  # of a library for a CPU
    kernels: tuple[KernelRecord, ...] = ()  # of one for a GPU


Find = Callable[[StageRunner, Plan], tuple[Subnet, SearchRecord | None]]


def build(
    plan: Plan, cache: StageCache, command: Sequence[str], on_stage: OnStage, find: Find = run_search
) -> Manifest:
    """Run a plan. Stages already in the cache are not run again, so a build that was interrupted goes on.

    Args:
        plan: what to build.
        cache: where stages' results are kept.
        command: for the manifest.
        on_stage: told of each stage.
        find: chooses the subnet.

    Returns:
        The manifest, as it was written to the output folder.

    Raises:
        OfaEdgeError: nothing is left in the output folder that was not there before.
    """
    runner = StageRunner(cache, on_stage)
    if plan.tune_s:
        check_device(plan)
    if plan.options.refine:
        check_refinable(plan)
    subnet, search = find(runner, plan)
    refined = None
    if plan.options.refine:
        refined = refine(runner, plan, subnet)
        plan, subnet, search = refined.plan, refined.subnet, refined.search
    static = stages.extract(runner, plan, subnet)
    onnx = stages.to_onnx(runner, plan, static)
    if plan.runtime == "tflite":
        tuned = Tuned(stages.to_tflite(runner, plan, onnx, subnet))
    else:
        tuned = tuned_library(runner, plan, onnx, subnet)
    model = tuned.model
    built = _collect(plan, onnx, tuned)
    inspection = stages.inspect_tflite(runner, plan, model) if plan.runtime == "tflite" else None
    ladder = _climb(runner, plan, subnet, static, onnx, model, built)
    with output_folder(plan.out) as folder:
        outputs = _place(folder, plan, built)
        if refined is not None:
            outputs += [_record(name, role, folder / name) for name, role in refined.files.write(folder)]
        manifest = _manifest(plan, runner, subnet, search, ladder, inspection, outputs, command, built)
        manifest = manifest.model_copy(update={"refinement": refined.record if refined else None})
        write_report(folder / REPORT, manifest)
        outputs.append(_record(REPORT, "report", folder / REPORT))
        manifest = manifest.model_copy(update={"outputs": tuple(outputs)})
        write_manifest(folder, manifest)
    return manifest


def _collect(plan: Plan, onnx: CacheEntry, tuned: Tuned) -> _Built:
    """The artifact and what goes with it: a TVM library comes with its C++ runner, and with its kernels' source."""
    model = tuned.model
    if plan.runtime == "tflite":
        return _Built(model.path("model.tflite"), onnx.path(MODEL))
    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.runners.build import build_tvm_runner

    folder = build_tvm_runner(plan.target.hardware.arch, cache_folder(), plan.cuda)
    names = ("model.json", KERNELS) if plan.cuda else ("model.json",)
    extra = [(name, model.path(name)) for name in names]
    extra += [(f"runner/{path.name}", path) for path in sorted(folder.iterdir()) if path.suffix != ".json"]
    facts = json.loads(model.path("model.json").read_bytes())
    schedules = None
    if not plan.cuda:
        schedules = SchedulesRecord.model_validate_json(json.dumps(facts["schedules"]))
        schedules = schedules.model_copy(update={"tuning": tuned.record})
    return _Built(
        model.path("model.so"),
        onnx.path(MODEL),
        tuple(extra),
        schedules,
        tuple(KernelRecord.model_validate_json(json.dumps(kernel)) for kernel in facts.get("kernels", ())),
    )


def _climb(
    runner: StageRunner,
    plan: Plan,
    subnet: Subnet,
    static: CacheEntry,
    onnx: CacheEntry,
    model: CacheEntry,
    built: _Built,
) -> _Ladder:
    """Run every stage's result on the test images and compare."""
    labels = plan.data.test_labels
    name = "supernet slice" if plan.package.subnet is None else "given network"
    start = Answers(name, load_logits(stages.run_torch(runner, plan, static, folded=False)))
    stages.require_finite(
        start.logits, f"{name} {subnet.id} of '{plan.package.name}', on {len(start.logits)} test images"
    )
    folded = Answers("BN folded", load_logits(stages.run_torch(runner, plan, static, folded=True)))
    exported = Answers(
        "onnx",
        load_logits(stages.run_onnx(runner, plan, onnx, subnet)),
        file=MODEL,
        size=stages.file_size(built.onnx),
    )
    converted = _converted(runner, plan, onnx, model, subnet, built)
    tolerance = conversion_tolerance(plan.precision, plan.fp16_accumulation)
    rungs = [
        first_rung(start, labels),
        rung(folded, start, EXACT, labels),
        rung(exported, start, EXACT, labels),
        rung(converted, start, tolerance, labels, with_drop=plan.precision != "fp32"),
    ]
    not_emulated = ""
    if plan.cuda:
        try:
            rungs.append(_emulated(runner, plan, model, subnet, start))
        except UnsupportedError as error:
            not_emulated = f"{error.what}: {error.why}"
    tvm_runner = next((path.parent for name, path in built.extra if name.startswith("runner/")), None)
    device, last = run_on_device(runner, plan, built.artifact, subnet, tvm_runner), converted
    if device is not None:
        what = "emulated " + device.record.fingerprint.get("cpu", "") if device.record.kind == "emulated" else ""
        last = Answers("on device", device.logits, note=what or device.record.name)
        rungs.append(rung(last, converted, device_tolerance(plan.precision, plan.fp16_accumulation), labels))
    return _Ladder(
        tuple(rungs),
        device,
        accuracy_drop(last, start, labels),
        check_statistics(runner, plan, subnet, static, start.logits),
        not_emulated,
        classes_record(plan.package.labels, start, last, plan.data.labels),
    )


def _emulated(runner: StageRunner, plan: Plan, model: CacheEntry, subnet: Subnet, start: Answers) -> Rung:
    """The library's CUDA kernels on this machine's CPU, on as many images as a minute or so allows."""
    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.runners.build import build_tvm_runner

    affordable = EMULATED_MACS // cost.macs(plan.package.space, subnet)
    allowed = max(1, min(EMULATED_IMAGES, affordable, len(start.logits)))
    tvm_runner = build_tvm_runner(platform.machine(), cache_folder(), cuda=True)
    entry = stages.run_cuda_emulated(runner, plan, model, subnet, tvm_runner, allowed)
    note = f"the kernels for {plan.target.hardware.gpu} as C++ on this machine's CPU; no GPU ran them"
    answers = Answers(f"tvm {plan.precision}, emulated kernels", load_logits(entry), note=note)
    # Too few images for a drop in accuracy to mean anything.
    tolerance = Tolerance(snr_db=conversion_tolerance(plan.precision, plan.fp16_accumulation).snr_db)
    return rung(
        answers, Answers(start.name, start.logits[stratified(plan.data.test.labels, allowed, 0)]), tolerance, None
    )


def _converted(
    runner: StageRunner, plan: Plan, onnx: CacheEntry, model: CacheEntry, subnet: Subnet, built: _Built
) -> Answers:
    if plan.runtime == "tflite":
        logits = load_logits(stages.run_tflite(runner, plan, model, subnet))
        size = stages.file_size(built.artifact)
        return Answers(f"tflite {plan.precision_name}", logits, file=plan.artifact_name, size=size)
    logits = load_logits(stages.run_tvm_host(runner, plan, onnx, subnet))
    note = "the same Relax module compiled for this machine's CPU"
    if plan.cuda:
        note += f"; for the kernels for {plan.target.hardware.gpu} see the next rung"
    return Answers(f"tvm {plan.precision}, host CPU", logits, note=note)


def _place(folder: Path, plan: Plan, built: _Built) -> list[FileRecord]:
    """Copy the outputs into the staging folder."""
    write_bytes(folder / zoo.LABELS, ("\n".join(plan.package.labels) + "\n").encode())
    files = [(plan.artifact_name, built.artifact, "artifact"), (MODEL, built.onnx, "onnx")]
    files += [(name, path, "runner" if name.startswith("runner/") else "facts") for name, path in built.extra]
    records = [_record(zoo.LABELS, "labels", folder / zoo.LABELS)]
    for name, source, role in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(source, target)
        records.append(_record(name, role, target))
    return records


def _record(name: str, role: str, path: Path) -> FileRecord:
    return FileRecord(path=name, role=role, sha256=sha256_file(path), size=stages.file_size(path))


def _manifest(
    plan: Plan,
    runner: StageRunner,
    subnet: Subnet,
    search: SearchRecord | None,
    ladder: _Ladder,
    inspection: Inspection | None,
    outputs: Sequence[FileRecord],
    command: Sequence[str],
    built: _Built,
) -> Manifest:
    prediction = _prediction(plan, subnet)
    measurements = (ladder.device.record,) if ladder.device else ()
    return Manifest(
        version=__version__,
        created=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        command=tuple(command),
        seed=plan.options.seed,
        labels=_labels(plan, prediction, ladder),
        target=TargetRecord(
            name=plan.target.name,
            given="" if plan.options.target == plan.target.name else plan.options.target,
            description=plan.target.description,
            arch=plan.target.hardware.arch,
            cpu=plan.target.hardware.cpu,
            runtime=plan.runtime,
            threads=plan.target.runtime.threads,
            precision=plan.precision,
            fp16_accumulation=plan.fp16_accumulation,
        ),
        supernet=SupernetRecord(
            name=plan.package.name,
            space=plan.package.space.to_json(),
            space_hash=plan.package.space.hash,
            trained=plan.package.trained,
            dataset=plan.data.source if plan.package.trained else None,
        ),
        subnet=SubnetRecord.of(plan.package.space, subnet),
        prediction=prediction,
        search=search,
        budget_ms=plan.budget_ms,
        sustained=None if plan.sustained is None else SustainedRecord(**plan.sustained.model_dump()),
        schedules=built.schedules,
        calibration=None if plan.calibration is None else CalibrationRecord(**asdict(plan.calibration)),
        statistics=ladder.statistics,
        ladder=ladder.rungs,
        measurements=measurements,
        verdicts=_verdicts(plan, ladder, inspection),
        stages=tuple(runner.records),
        inputs=(*(_record(name, role, path) for name, (path, role) in input_files(plan).items()), *own_images(plan)),
        outputs=tuple(outputs),
        versions=_versions(),
        skipped=_skipped(plan, ladder),
        kernels=built.kernels,
        classes=ladder.classes,
    )


def _verdicts(plan: Plan, ladder: _Ladder, inspection: Inspection | None) -> tuple[Verdict, ...]:
    measurements = (ladder.device.record,) if ladder.device else ()
    is_target = ladder.device is not None and ladder.device.is_target
    start = ladder.rungs[0]
    artifact = [rung for rung in ladder.rungs if rung.images == start.images][-1]
    return (
        statistics_verdict(ladder.statistics, start.top1, start.images),
        parity_verdict(ladder.rungs),
        accuracy_verdict(start, artifact, ladder.drop, plan.package.space.num_classes),
        *([] if inspection is None else [delegation_verdict(inspection, measurements)]),
        latency_verdict(measurements, plan.cold_budget_ms, is_target, plan.device.why),
    )


def _prediction(plan: Plan, subnet: Subnet) -> LatencyPrediction:
    interval = plan.latency.predict(subnet)
    provenance = plan.latency.provenance
    return LatencyPrediction(
        **{key: float(value) for key, value in interval.to_json().items()},
        kind=plan.latency.kind,
        provenance=provenance.kind,
        source=provenance.fitted_to,
        outside=plan.latency.outside,
        parts=tuple(
            PartRecord(name=part.name, what=part.op, ms=part.ms, bound=part.bound)
            for part in plan.latency.parts(subnet)
        ),
    )


def _labels(plan: Plan, prediction: LatencyPrediction, ladder: _Ladder) -> tuple[Label, ...]:
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


def _skipped(plan: Plan, ladder: _Ladder) -> tuple[str, ...]:
    skipped = []
    if ladder.device is None:
        skipped.append(f"run on a device: {plan.device.why or '--device none'}")
    if plan.cuda:
        emulated = f"were not even emulated ({ladder.not_emulated})" if ladder.not_emulated else "ran emulated"
        skipped.append(
            f"run of the {plan.target.hardware.gpu} kernels on a GPU: there is none here. They are compiled, held"
            f" against the architecture's limits, and {emulated}; their speed is not known"
        )
    if not plan.package.trained:
        skipped.append("accuracy: the weights are random")
    return tuple(skipped)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "ofa-edge": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
