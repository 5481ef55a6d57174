"""From a network to its proved artifact: conversion, the ladder, the verdicts, the report, and last the manifest.

Nothing here asks where the network came from; `build` and `model_build` make what it starts with.
"""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import MODEL
from ofa_edge.device.access import require_ready
from ofa_edge.errors import ConversionError
from ofa_edge.example.readme import README
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.files import copy_file, write_bytes, write_json
from ofa_edge.network import Network
from ofa_edge.output import output_folder
from ofa_edge.records.build import RUNNER
from ofa_edge.records.interface import INTERFACE
from ofa_edge.records.manifest import FileRecord, Manifest, Rung, Tolerance, write_manifest
from ofa_edge.records.race import RaceRecord
from ofa_edge.report import write_report
from ofa_edge.report.worst import MOST
from ofa_edge.runtimes import Artifact, Converted, Export, HostAnswers
from ofa_edge.schema import changed
from ofa_edge.supernet import zoo
from ofa_edge.verify.classes import by_class, classes_record
from ofa_edge.verify.ladder import (
    EXACT,
    Answers,
    conversion_tolerance,
    device_tolerance,
    first_rung,
    loosest,
    rung,
)
from ofa_edge.verify.scoring import Scorer, scorer_for
from ofa_edge.vocabulary import Precision, numbers
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.account import Built, Ladder, Start, file_record, manifest_of, verdicts_of
from ofa_edge.workflows.build.base import Plan
from ofa_edge.workflows.build.fastest import Race, check_raceable, race, with_runtime
from ofa_edge.workflows.build.leave import leave
from ofa_edge.workflows.build.on_device import Trial, check_tunable, run_on_device
from ofa_edge.workflows.build.quantisation import quantisation_of
from ofa_edge.workflows.build.stages import StageRunner
from ofa_edge.workflows.build.suppression import suppressed_rungs
from ofa_edge.workflows.build.worst import worst_photos

REPORT = "report.html"
INSPECTION = "inspection.json"


def check_devices(plan: Plan) -> None:
    """Raise, before any work, where a device cannot be reached, lacks what is needed, or gives no times."""
    contenders = plan.export.contenders
    for runtime in contenders.runtimes if contenders else (plan.export.runtime,):
        require_ready(plan.device.name, plan.target, runtime.needs)
    if plan.export.tuning.seconds:
        check_tunable(plan.device.name, plan.target)
    if contenders is not None:
        check_raceable(plan)


def finish(runner: StageRunner, plan: Plan, start: Start, command: Sequence[str]) -> Manifest:
    """Convert, verify and write.

    Args:
        runner: of the build, with the stages so far.
        plan: of the build.
        start: what is there.
        command: for the manifest.

    Returns:
        The manifest, as it was written to the output folder.

    Raises:
        OfaEdgeError: nothing is left in the output folder that was not there before.
    """
    network = start.network

    def climb(plan: Plan, built: Built) -> Ladder:
        return _climb(runner, plan, stages.export_of(plan, network), built, start)

    ran = None
    if plan.export.contenders is None:
        built = _convert(runner, plan, stages.export_of(plan, network), start.inside)
        ladder = climb(plan, built)
    else:
        plan, built, ladder, ran = _keep(runner, plan, start, race(runner, plan, network), climb)
    with output_folder(plan.out) as folder:
        outputs = _place(folder, built)
        left = leave(folder, built, plan.data, photos=plan.options.photos)
        outputs += left.files
        if start.refined is not None:
            outputs += [file_record(name, role, folder / name) for name, role in start.refined.files.write(folder)]
        manifest = manifest_of(plan, runner, start, ladder, command, built, ran, outputs)
        write_report(folder / REPORT, manifest, worst_photos(plan, network.labels, ladder.worst))
        left.write_readme(folder, manifest, built)
        outputs += [file_record(name, role, folder / name) for name, role in ((README, "readme"), (REPORT, "report"))]
        manifest = changed(manifest, outputs=tuple(outputs))
        write_manifest(folder, manifest)
    return manifest


def _convert(runner: StageRunner, plan: Plan, export: Export, inside: Network | None) -> Built:
    """The artifact and what goes with it: a program that runs it, facts of its making."""
    bare, artifact = stages.to_artifact(runner, plan, export)
    if inside is None:
        return _built(runner, export.network, bare, artifact)
    return replace(_built(runner, inside, *stages.to_artifact(runner, plan, replace(export, inside=inside))), bare=bare)


def _built(runner: StageRunner, network: Network, converted: Converted, artifact: Artifact) -> Built:
    inspection = _inspection(runner, artifact) if artifact.runtime.delegates else None
    return Built(network, converted, artifact, artifact.runtime.facts(converted), inspection)


def _keep(
    runner: StageRunner, plan: Plan, start: Start, raced: Race, climb: Callable[[Plan, Built], Ladder]
) -> tuple[Plan, Built, Ladder, RaceRecord]:
    """The fastest that fails no gate but the budget's; where all fail, the fastest, whose verdicts say so."""
    judged, entries = list[tuple[Plan, Built, Ladder]](), list(raced.record.contenders)
    for place, (entry, made) in enumerate(zip(entries, raced.made, strict=True)):
        own = with_runtime(plan, entry.runtime)
        built = _built(runner, start.network, made.converted, made.artifact)
        try:
            judged.append((own, built, climb(own, built)))
        except ConversionError as error:
            entries[place] = changed(entry, rejected=f"{error.what}: {error.why}")
            continue
        failed = [
            f"{each.gate}: {each.reason}"
            for each in verdicts_of(own, start, judged[-1][2], built)
            if each.outcome == "fail" and each.gate != "latency"
        ]
        if not failed:
            break
        entries[place] = changed(entry, rejected="; ".join(failed))
    if not judged:
        raise ConversionError("no runtime answered as it should", str(entries[-1].rejected), "--runtime NAME")
    kept = judged[-1] if any(each.rejected is None for each in entries) else judged[0]
    return *kept, changed(raced.record, contenders=tuple(entries))


def _inspection(runner: StageRunner, artifact: Artifact) -> Inspection | None:
    """What the delegate of the artifact's runtime does with it on this machine."""

    def produce(folder: Path) -> None:
        found = artifact.runtime.delegation(artifact.path)
        write_json(folder / INSPECTION, None if found is None else found.to_json())

    inputs = {"model": artifact.sha256, "machine": platform.machine(), "runtime": artifact.runtime.name}
    entry = runner.run("inspect", inputs, (str(artifact.runtime.delegates),), produce)
    found = json.loads(entry.path(INSPECTION).read_bytes())
    return None if found is None else Inspection.from_json(found)


def _climb(runner: StageRunner, plan: Plan, export: Export, built: Built, start: Start) -> Ladder:
    """Run every stage's result on the test images and compare."""
    test, network, first = plan.data.test, export.network, start.first
    scorer = scorer_for(network, plan.data.test_labels, plan.data.truth)
    precision, beside = export.precision, _beside(network)
    exported = Answers("onnx", stages.run_onnx(runner, network, test))
    if built.bare is None:  # else it is not what the folder gets
        exported = replace(exported, file=MODEL, size=network.onnx.stat().st_size)
    here = plan.export.runtime.run_here(runner, export, built.raw, test)
    made, *others = (_answers(each, built, first.logits.shape) for each in here.answers)
    made = replace(made, own=first.own)
    converted = loosest(start.exported, conversion_tolerance(precision))
    rungs = [
        first_rung(first, scorer),
        *(rung(each, first, EXACT, scorer) for each in start.between),
        rung(exported, first, start.exported, scorer, **beside),
        *_as_trained(made, start, built, converted, scorer),
        rung(made, first, converted, scorer, with_drop=not numbers(precision).exact, **beside),
        *(_sample(each, found.rows, first, precision) for each, found in zip(others, here.answers[1:], strict=True)),
    ]
    if built.bare is not None:
        network, beside = built.network, _beside(built.network)
        scorer = scorer_for(network, plan.data.test_labels, plan.data.truth)
        inside = suppressed_rungs(runner, export, built, test, (first, exported, made), scorer)
        first, made, rungs = inside.first, inside.made, [*rungs, *inside.rungs]
    trial = Trial(built.artifact, network, plan.target, test)
    device, last = run_on_device(runner, plan.device.name, trial), made
    if device is not None:
        what = "emulated " + device.record.fingerprint.get("cpu", "") if device.record.kind == "emulated" else ""
        last = Answers("on device", device.logits, note=what or device.record.name)
        rungs.append(rung(last, made, device_tolerance(precision), scorer, **beside))
    return Ladder(
        tuple(rungs),
        device,
        None if scorer is None else scorer.drop(first.logits, last.logits),
        here.skipped,
        classes_record(network.labels, first, last, plan.data.labels),
        None if scorer is None else by_class(scorer, first, last),
        0.0 if scorer is None else scorer.chance,
        quantisation_of(built.artifact.runtime, export, built.raw, built.facts.mixed, rungs, plan.data),
        () if scorer is None else scorer.worst(last.logits, MOST),
    )


def _beside(network: Network) -> dict[str, Any]:
    """How answers of a network are held against each other, for `rung`."""
    return {"parts": network.parts, "finished": network.finished}


def _as_trained(made: Answers, start: Start, built: Built, tolerance: Tolerance, scorer: Scorer | None) -> list[Rung]:
    """The int8 form that was trained, and the artifact beside it where it rounds in the same places."""
    if start.rounded is None:
        return []
    rungs = [rung(start.rounded, start.first, tolerance, scorer)]
    if built.artifact.runtime.rounds_as_trained and built.facts.mixed is None:
        rungs.append(rung(made, start.rounded, device_tolerance("int8"), scorer))
    return rungs


def _answers(found: HostAnswers, built: Built, shape: tuple[int, ...]) -> Answers:
    """The answers of a rung; the artifact's own name and size where it was the artifact that ran.

    Raises:
        ConversionError: a runtime, which may be somebody else's, gave no [images, classes].
    """
    artifact = built.artifact
    path = artifact.path
    wanted = shape if found.rows is None else (len(found.rows), *shape[1:])
    if found.logits.shape != wanted:
        raise ConversionError(
            f"runtime {artifact.runtime.name} answered in another shape",
            f"{list(found.logits.shape)} from run_here, not {list(wanted)}",
            "--runtime of another name; and report it to the runtime's package",
        )
    if found.itself and built.bare is None:
        return Answers(found.name, found.logits, file=path.name, size=path.stat().st_size, note=found.note)
    return Answers(found.name, found.logits, note=found.note)


def _sample(answers: Answers, rows: NDArray[np.int64] | None, start: Answers, precision: Precision) -> Rung:
    """A rung on some of the images: too few for a drop in accuracy to mean anything."""
    tolerance = Tolerance(snr_db=conversion_tolerance(precision).snr_db)
    return rung(answers, Answers(start.name, start.logits if rows is None else start.logits[rows]), tolerance, None)


def _place(folder: Path, built: Built) -> list[FileRecord]:
    """Copy the outputs into the staging folder."""
    labels, records = built.network.labels, list[FileRecord]()
    if labels:
        write_bytes(folder / zoo.LABELS, ("\n".join(labels) + "\n").encode())
        records.append(file_record(zoo.LABELS, "labels", folder / zoo.LABELS))
    write_json(folder / INTERFACE, built.interface.model_dump(mode="json"))
    records.append(file_record(INTERFACE, "interface", folder / INTERFACE))
    artifact = built.artifact
    files = [(artifact.runtime.artifact_name, artifact.path, "artifact"), (MODEL, built.network.onnx, "onnx")]
    files += [(path.name, path, "facts") for path in built.facts.files]
    if artifact.runner is not None:
        inside = sorted(path for path in artifact.runner.iterdir() if path.suffix != ".json")
        files += [(f"{RUNNER}/{path.name}", path, "runner") for path in inside]
    for name, source, role in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(source, target)
        records.append(file_record(name, role, target))
    return records
