"""Verification of a built artifact on a device, after the fact: the folder, the device, the gates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError, DeviceError, UsageError
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.onnx.export import run_onnx
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.files import sha256_file
from ofa_edge.records.build import has_output, read_built, runner_of, subnet_of
from ofa_edge.records.classes import ClassesRecord
from ofa_edge.records.manifest import (
    OWN_IMAGES,
    DeviceMeasurement,
    Manifest,
    Outcome,
    Rung,
    Verdict,
    weightiest,
)
from ofa_edge.space import Subnet
from ofa_edge.targets import machine_architecture
from ofa_edge.verify.classes import classes_record
from ofa_edge.verify.gates import (
    accuracy_verdict,
    delegation_verdict,
    inconclusive,
    instructions_verdict,
    latency_verdict,
    memory_verdict,
    parity_verdict,
    size_verdict,
)
from ofa_edge.verify.ladder import Answers, accuracy_drop, conversion_tolerance, device_tolerance, first_rung, rung
from ofa_edge.workflows.build.on_device import DeviceResult, measure_artifact
from ofa_edge.workflows.build.plan import BuildOptions, Plan, input_files, make_plan, own_images
from ofa_edge.workflows.build.stages import inputs_for

FP32 = "model.onnx"  # the exported fp32 network: what accuracy is held against


@dataclass(frozen=True)
class Verification:
    """What a device showed about an artifact; no device where it failed before it had answered."""

    device: DeviceMeasurement | None
    rungs: tuple[Rung, ...]
    verdicts: tuple[Verdict, ...]
    classes: ClassesRecord | None = None  # the device beside the fp32 network

    @property
    def outcome(self) -> Outcome:
        """The weightiest verdict."""
        return weightiest(verdict.outcome for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "device": None if self.device is None else self.device.model_dump(mode="json"),
            "ladder": [item.model_dump(mode="json") for item in self.rungs],
            "classes": None if self.classes is None else self.classes.model_dump(mode="json"),
            "verdicts": [verdict.model_dump(mode="json") for verdict in self.verdicts],
            "outcome": self.outcome,
        }


@dataclass(frozen=True)
class Limits:
    """What a user allows; None where nothing is gated."""

    size: int | None = None  # bytes of the artifact
    memory: int | None = None  # resident bytes, at the peak, of the process that runs it


def verify(
    folder: Path, device: str, data: Path | None = None, limits: Limits | None = None, release: bool = False
) -> Verification:
    """Run the artifact of a build on a device, hold it against the same file on this machine, and judge it.

    A device that fails proves nothing either way: the verdict is `inconclusive` with the reason's code.

    Args:
        folder: of a build.
        device: its name.
        data: the image folder that the build was made with, if any.
        limits: of size and memory.
        release: sample latency as a release asks: 1,024 runs and 60 s a session.

    Raises:
        ConfigError: the folder is no build, was changed after it, or its supernet or images are not the same any more.
    """
    manifest, plan, subnet = read_build(folder, device, data)
    _check_own_images(plan, manifest)
    artifact = folder / plan.artifact_name
    try:
        result = measure_artifact(plan, artifact, subnet, runner_of(folder, manifest), release)
    except DeviceError as error:
        found = inconclusive(error)
        verdict = Verdict(gate="parity", outcome="inconclusive", code=found.code, reason=found.reason)
        return Verification(None, (), (verdict,))
    fp32_folder = folder if has_output(manifest, FP32) else None
    rungs, accuracy, classes = _ladder(plan, fp32_folder, artifact, subnet, result)
    record, limits = result.record, limits or Limits()
    # Whether the network itself is sound was asked when it was built; no device can answer that.
    verdicts = [verdict for verdict in manifest.verdicts if verdict.gate == "statistics"]
    verdicts += [parity_verdict(rungs), accuracy]
    if plan.runtime == "tflite":
        verdicts.append(delegation_verdict(inspect_model(artifact), [record]))
    if limits.size is not None:
        verdicts.append(size_verdict(artifact.stat().st_size, limits.size))
    if limits.memory is not None:
        verdicts.append(memory_verdict([record], limits.memory))
    if record.instructions_per_inference is not None:
        verdicts.append(instructions_verdict(record.instructions_per_inference, _counted(manifest, record)))
    verdicts.append(latency_verdict([record], plan.cold_budget_ms, result.is_target))
    return Verification(record, rungs, tuple(verdicts), classes)


def read_build(folder: Path, device: str, data: Path | None) -> tuple[Manifest, Plan, Subnet]:
    """A build that is to run on a device: what its manifest says, unchanged since.

    Raises:
        ConfigError: the folder is no build, was changed after it, or its supernet or images are not the same any more.
        UsageError: its artifact cannot run on this machine, and that is the device.
    """
    manifest = read_built(folder)
    plan = plan_of(manifest, device, data)
    subnet = subnet_of(manifest)
    check_runs_here(plan, device)
    return manifest, plan, subnet


def check_runs_here(plan: Plan, device: str) -> None:
    """Raise UsageError for a library of another architecture, or of a GPU, on this machine."""
    if device != "local" or plan.runtime == "tflite":
        return
    arch = plan.target.hardware.arch
    if plan.cuda or arch != machine_architecture():
        raise UsageError(
            f"a {plan.runtime} library for {plan.target.name} does not run on this machine",
            f"it was compiled for {arch}{' and its GPU' if plan.cuda else ''}; this is {machine_architecture()}",
            "--device emulated, or a device of that kind",
        )


def _ladder(
    plan: Plan, fp32_folder: Path | None, artifact: Path, subnet: Subnet, result: DeviceResult
) -> tuple[tuple[Rung, ...], Verdict, ClassesRecord | None]:
    """The device beside what should answer the same, then the verdict on accuracy and the classes: beside fp32.

    A TFLite file is held against itself on this machine; a library against the fp32 network that it was compiled from.
    """
    labels, images = plan.data.test_labels, inputs_for(plan, subnet)
    answers = Answers("on device", result.logits, note=result.record.name)
    fp32 = None if fp32_folder is None else Answers("onnx", run_onnx(fp32_folder / FP32, images))
    reference, tolerances = fp32, conversion_tolerance
    if plan.runtime == "tflite":
        reference, tolerances = Answers("this machine", run_tflite(artifact, images)), device_tolerance
    rungs: tuple[Rung, ...] = (first_rung(answers, labels),)
    if reference is not None:
        tolerance = tolerances(plan.precision, plan.fp16_accumulation)
        rungs = (first_rung(reference, labels), rung(answers, reference, tolerance, labels))
    classes = classes_record(plan.package.labels, fp32 or reference or answers, answers, plan.data.labels)
    if fp32 is None:
        why = "the build has no fp32 network to hold it against"
        unverified = Verdict(gate="accuracy", outcome="unverified", code="nothing-beside-it", reason=why)
        return rungs, unverified, classes
    drop, count = accuracy_drop(answers, fp32, labels), plan.package.space.num_classes
    return rungs, accuracy_verdict(first_rung(fp32, labels), rungs[-1], drop, count), classes


def _counted(manifest: Manifest, now: DeviceMeasurement) -> int | None:
    """Instructions of the build's own run on the same emulator and core."""
    same = ("emulator", "cpu", "runner_version")
    for item in manifest.measurements:
        if all(item.fingerprint.get(key) == now.fingerprint.get(key) for key in same):
            return item.instructions_per_inference
    return None


def plan_of(manifest: Manifest, device: str, data: Path | None) -> Plan:
    """The plan that a build was made by, for another device. Raises ConfigError where its inputs are others now."""
    search = manifest.search
    plan = make_plan(
        BuildOptions(
            target=manifest.target.given or manifest.target.name,
            latency_ms=search.budget_ms if search else manifest.budget_ms,
            precision=manifest.target.precision,
            fp16_accumulation=manifest.target.fp16_accumulation,
            runtime=manifest.target.runtime,  # type: ignore[arg-type]
            supernet=manifest.supernet.name,
            untrained=not manifest.supernet.trained,
            data=data,
            device=device,
            seed=manifest.seed,
            sustained=manifest.sustained is not None,
        ),
        claim=False,
    )
    if plan.package.space.hash != manifest.supernet.space_hash:
        raise ConfigError(
            "the supernet is not the build's",
            f"'{manifest.supernet.name}' now has another search space",
            "build again",
        )
    if plan.package.subnet not in (None, subnet_of(manifest)):
        raise ConfigError(
            "the network is not the build's", f"'{manifest.supernet.name}' is another one now", "build again"
        )
    check_inputs(plan, manifest)
    return plan


def check_inputs(plan: Plan, manifest: Manifest) -> None:
    """Weights and images as they were at the build. Raises ConfigError naming the first that is not."""
    built_with = {record.path: record.sha256 for record in manifest.inputs}
    for name, (path, role) in input_files(plan).items():
        if role in ("weights", "images") and built_with.get(name) != sha256_file(path):
            raise ConfigError(
                f"the {role} are not the build's", f"{path}: another SHA-256 than in the manifest", "build again"
            )


def _check_own_images(plan: Plan, manifest: Manifest) -> None:
    """Raise ConfigError where `--data` is not the folder of the build, or has other images now."""
    given = {record.path: record.sha256 for record in own_images(plan)}
    if {record.path: record.sha256 for record in manifest.inputs if record.role == OWN_IMAGES} != given:
        raise ConfigError(
            "the images are not the build's",
            f"it was built on {manifest.supernet.dataset}; here are {plan.data.source}, or others by content",
            "give --data with the folder of the build, as it was then, and leave --data out where it had none",
        )
