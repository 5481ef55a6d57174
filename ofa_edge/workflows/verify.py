"""Verification of a built artifact on a device, after the fact: the folder, the device, the gates."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ofa_edge.builds import Build
from ofa_edge.data.dataset import Samples
from ofa_edge.device.access import require_device, require_ready
from ofa_edge.errors import ConfigError, DeviceError, UsageError
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.files import sha256_file
from ofa_edge.records.classes import ClassesRecord
from ofa_edge.records.manifest import OWN_IMAGES, DeviceMeasurement, Manifest, Rung, Verdict
from ofa_edge.space import Space
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
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
from ofa_edge.verify.ladder import Answers, conversion_tolerance, device_tolerance, first_rung, rung
from ofa_edge.verify.scoring import scorer_for
from ofa_edge.vocabulary import Outcome, weightiest
from ofa_edge.workflows.build.base import own_images
from ofa_edge.workflows.build.images import BuildData, build_data
from ofa_edge.workflows.build.model_images import model_data
from ofa_edge.workflows.build.on_device import DeviceResult, Trial, measure_artifact
from ofa_edge.workflows.build.plan import package_files


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
    build = Build.open(folder)
    check_runs_there(build, device)
    images = images_of(build, data)
    _check_own_images(build, images)
    trial = Trial.of(build, images.test)
    try:
        result = measure_artifact(device, trial, release)
    except DeviceError as error:
        found = inconclusive(error)
        verdict = Verdict(gate="parity", outcome="inconclusive", code=found.code, reason=found.reason)
        return Verification(None, (), (verdict,))
    rungs, accuracy, classes = _ladder(build, images, trial, result)
    record, limits = result.record, limits or Limits()
    # Whether the network itself is sound was asked when it was built; no device can answer that.
    verdicts = [verdict for verdict in build.manifest.verdicts if verdict.gate == "statistics"]
    verdicts += [parity_verdict(rungs), accuracy]
    inspection = build.runtime.delegation(trial.artifact.path)
    if inspection is not None:
        verdicts.append(delegation_verdict(inspection, [record]))
    if limits.size is not None:
        verdicts.append(size_verdict(trial.artifact.path.stat().st_size, limits.size))
    if limits.memory is not None:
        verdicts.append(memory_verdict([record], limits.memory))
    if record.instructions_per_inference is not None:
        verdicts.append(instructions_verdict(record.instructions_per_inference, _counted(build.manifest, record)))
    verdicts.append(latency_verdict([record], build.cold_budget_ms, result.is_target))
    return Verification(record, rungs, tuple(verdicts), classes)


def images_of(build: Build, data: Path | None) -> BuildData[Samples]:
    """The images of a build, of the user's folder or of its supernet's package.

    Raises:
        ConfigError: its supernet or images are not the same any more.
    """
    manifest, supernet = build.manifest, build.manifest.supernet
    if supernet is None:
        return model_data(build.network.interface, data, manifest.seed, manifest.network.pictures)
    package = open_supernet(supernet.name, untrained=not manifest.network.trained)
    sizes = Space.from_json(supernet.space).resolutions if package.weights is None else package.space.resolutions
    if package.space.hash_at(sizes) != supernet.space_hash:
        raise ConfigError(
            "the supernet is not the build's",
            f"'{supernet.name}' now has another search space",
            "build again",
        )
    if package.subnet not in (None, build.subnet):
        raise ConfigError("the network is not the build's", f"'{supernet.name}' is another one now", "build again")
    images = build_data(package, data, manifest.seed)
    check_inputs(build, package)
    return images


def check_inputs(build: Build, package: SupernetPackage) -> None:
    """Weights and images as they were at the build. Raises ConfigError naming the first that is not."""
    built_with = {record.path: record.sha256 for record in build.manifest.inputs}
    for name, (path, role) in package_files(package).items():
        if role in ("weights", "images") and built_with.get(name) != sha256_file(path):
            raise ConfigError(
                f"the {role} are not the build's", f"{path}: another SHA-256 than in the manifest", "build again"
            )


def _check_own_images(build: Build, images: BuildData[Samples]) -> None:
    """Raise ConfigError where `--data` is not the folder of the build, or has other images now."""
    given = {record.path: record.sha256 for record in own_images(images)}
    manifest = build.manifest
    if {record.path: record.sha256 for record in manifest.inputs if record.role == OWN_IMAGES} != given:
        before = manifest.network.dataset or "random inputs"
        raise ConfigError(
            "the images are not the build's",
            f"it was built on {before}; here are {images.source}, or others by content",
            "give --data with the folder of the build, as it was then, and leave --data out where it had none",
        )


def check_runs_there(build: Build, device: str) -> None:
    """Raise, before any work, for a device that is not there, that cannot run the artifact, or lacks what it needs.

    Raises:
        UsageError: in one of its forms.
        DeviceError: it cannot be reached, or is full.
    """
    require_device(device, build.target)
    why = build.runtime.why_not_here(build.target) if device == "local" else None
    if why is not None:
        raise UsageError(
            f"a {build.runtime.title} library for {build.target.name} does not run on this machine",
            why,
            "--device emulated, or a device of that kind",
        )
    require_ready(device, build.target, build.runtime.needs)


def _ladder(
    build: Build, images: BuildData[Samples], trial: Trial, result: DeviceResult
) -> tuple[tuple[Rung, ...], Verdict, ClassesRecord | None]:
    """The device beside what should answer the same, then the verdict on accuracy and the classes: beside fp32.

    A file that runs here is held against itself on this machine; any other against the fp32 network that it is made of.
    """
    scorer = scorer_for(trial.network, images.test_labels, images.truth)
    inputs, precision = trial.network.inputs(trial.images), trial.artifact.precision
    answers = Answers("on device", result.logits, note=result.record.name)
    fp32 = None if build.fp32 is None else Answers("onnx", run_onnx(build.fp32, inputs))
    reference, tolerance = fp32, conversion_tolerance(precision)
    here = build.runtime.answers(trial.artifact.path, inputs)
    if here is not None:
        reference, tolerance = Answers("this machine", here), device_tolerance(precision)
    rungs: tuple[Rung, ...] = (first_rung(answers, scorer),)
    if reference is not None:
        network = trial.network
        told = rung(
            answers,
            replace(reference, own=_own(build.manifest)),
            tolerance,
            scorer,
            parts=network.parts,
            finished=network.finished,
        )
        rungs = (first_rung(reference, scorer), told)
    classes = classes_record(build.labels, fp32 or reference or answers, answers, images.labels)
    if fp32 is None:
        why = "the build has no fp32 network to hold it against"
        unverified = Verdict(gate="accuracy", outcome="unverified", code="nothing-beside-it", reason=why)
        return rungs, unverified, classes
    drop = None if scorer is None else scorer.drop(fp32.logits, answers.logits)
    chance = 0.0 if scorer is None else scorer.chance
    return rungs, accuracy_verdict(first_rung(fp32, scorer), rungs[-1], drop, chance), classes


def _own(manifest: Manifest) -> dict[str, float]:
    """How near the build's first answers are to themselves in another order of sums, as `Answers.own` has it."""
    first = manifest.ladder[0] if manifest.ladder else None
    if first is None or first.own_db is None:
        return {}
    return dict(first.outputs) or {"": first.own_db}


def _counted(manifest: Manifest, now: DeviceMeasurement) -> int | None:
    """Instructions of the build's own run on the same emulator and core."""
    for item in manifest.measurements:
        same = all(item.fingerprint.get(key) == now.fingerprint.get(key) for key in ("emulator", "cpu"))
        if same and item.runner.get("version") == now.runner.get("version"):
            return item.instructions_per_inference
    return None
