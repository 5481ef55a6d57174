"""Verification of a built artifact on a device, after the fact: the folder, the device, the gates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError, UsageError
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.tflite import run_tflite
from ofa_edge.files import sha256_file
from ofa_edge.manifest import (
    DeviceMeasurement,
    Manifest,
    Outcome,
    Rung,
    Verdict,
    check_outputs,
    read_manifest,
    weightiest,
)
from ofa_edge.pipeline.on_device import measure_artifact
from ofa_edge.pipeline.plan import BuildOptions, Plan, input_files, make_plan
from ofa_edge.space import Subnet
from ofa_edge.verify.gates import accuracy_verdict, delegation_verdict, latency_verdict, parity_verdict
from ofa_edge.verify.ladder import Answers, device_tolerance, first_rung, rung


@dataclass(frozen=True)
class Verification:
    """What a device showed about an artifact."""

    device: DeviceMeasurement
    rungs: tuple[Rung, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The weightiest verdict."""
        return weightiest(verdict.outcome for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "device": self.device.model_dump(mode="json"),
            "ladder": [item.model_dump(mode="json") for item in self.rungs],
            "verdicts": [verdict.model_dump(mode="json") for verdict in self.verdicts],
            "outcome": self.outcome,
        }


def verify(folder: Path, device: str, data: Path | None = None) -> Verification:
    """Run the artifact of a build on a device and hold it against the same file on this machine.

    Raises:
        ConfigError: the folder is no build, was changed after it, or its supernet or images are not the same any more.
    """
    manifest = read_manifest(folder)
    check_outputs(folder, manifest)
    plan = _plan_of(manifest, device, data)
    subnet = Subnet(manifest.subnet.stages, manifest.subnet.resolution, manifest.subnet.widths)
    if plan.runtime != "tflite" and device == "local":
        raise UsageError(
            f"a {plan.runtime} library for {plan.target.name} does not run on this machine",
            f"it was compiled for {plan.target.hardware.arch}",
            "--device emulated, or a device of that kind",
        )
    artifact = folder / plan.artifact_name
    runner = folder / "runner" if (folder / "runner").is_dir() else None
    result = measure_artifact(plan, artifact, subnet, runner)
    labels = plan.data.test_labels
    reference = _reference(plan, artifact, subnet)
    answers = Answers("on device", result.logits, note=result.record.name)
    rungs: tuple[Rung, ...] = (first_rung(answers, labels),)
    if reference is not None:
        tolerance = device_tolerance(plan.precision, plan.fp16_accumulation)
        rungs = (first_rung(reference, labels), rung(answers, reference, tolerance, labels))
    verdicts = (
        parity_verdict(rungs),
        accuracy_verdict(rungs),
        *([delegation_verdict(inspect_model(artifact), [result.record])] if plan.runtime == "tflite" else []),
        latency_verdict([result.record], plan.cold_budget_ms, result.is_target),
    )
    return Verification(result.record, rungs, verdicts)


def _plan_of(manifest: Manifest, device: str, data: Path | None) -> Plan:
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


def _reference(plan: Plan, artifact: Path, subnet: Subnet) -> Answers | None:
    """The same file on this machine, where it runs here."""
    if plan.runtime != "tflite":
        return None
    from ofa_edge.pipeline.stages import test_inputs

    return Answers("this machine", run_tflite(artifact, test_inputs(plan, subnet)))
