"""The end of a calibration: the fit, how well it predicts what it has not seen, and the files that come out."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ofa_edge.device.protocol import Fingerprint
from ofa_edge.errors import DeviceError
from ofa_edge.files import write_bytes, write_json
from ofa_edge.latency.fitted import FittedModel, NetworkSample, UnitSample, fit_fitted
from ofa_edge.latency.load import FittedFacts, find_facts
from ofa_edge.latency.protocol import CrossValidation, Key, Provenance
from ofa_edge.latency.target_file import RunsAs, write_target
from ofa_edge.metrics import spearman
from ofa_edge.report.judged import Judged, judged_chart
from ofa_edge.schema import changed
from ofa_edge.space import Subnet
from ofa_edge.vocabulary import ProvenanceKind
from ofa_edge.workflows.calibrate.journal import Journal, Sampled, sampled, slowed
from ofa_edge.workflows.calibrate.plan import SESSIONS, CalibrationPlan, Item

_LEAST_FITTED = 3  # networks, below which nothing can be said


@dataclass(frozen=True)
class HeldOut:
    """One subnet that the fit has not seen."""

    subnet: Subnet
    measured_ms: float
    sd_ms: float
    predicted_ms: float
    low50: float
    high50: float
    low90: float
    high90: float


@dataclass(frozen=True)
class Evidence:
    """What is known of a plan's items, and how.

    Attributes:
        found: by the item's name.
        key: what it holds for.
        kind: of provenance.
        how: behind "N blocks and M random subnets".
        sources: files or programs that it is of.
        where: on what, in words.
        dropped: runs that do not count, and why.
        seconds: that it took; `effort`: of what.
    """

    found: Mapping[str, Sampled]
    key: Key
    kind: ProvenanceKind
    how: str
    sources: tuple[str, ...]
    where: str
    dropped: tuple[str, ...]
    seconds: float
    effort: str


@dataclass(frozen=True)
class MeasuredModel:
    """What came out.

    Attributes:
        model: the fitted model.
        held_out: the subnets that judge it.
        checks: the figures over them.
        within5, within10: shares of them whose prediction is that near.
        dropped: runs that do not count, and why.
        export_s, device_s: seconds.
        target: the target file that was written.
        effort: what `device_s` was spent on, in words.
    """

    model: FittedModel
    held_out: tuple[HeldOut, ...]
    checks: CrossValidation
    within5: float
    within10: float
    dropped: tuple[str, ...]
    export_s: float
    device_s: float
    target: Path
    effort: str = "on the device"

    @property
    def chart(self) -> Path:
        """Predicted against measured latency of the held-out subnets: an SVG file."""
        return self.target.with_suffix(".calibration.svg")


def conclude(
    plan: CalibrationPlan, journal: Journal, fingerprint: Fingerprint, command: Sequence[str], export_s: float
) -> MeasuredModel:
    """The model of what a device measured; see `concluded`."""
    dropped = [f"session {run.session + 1}: {run.dropped}" for run in journal.runs if run.dropped]
    dropped += [
        f"session {run.session + 1}: everything in it was slower than in the others: a hot or busy device"
        for run in slowed(journal.runs)
    ]
    evidence = Evidence(
        found=sampled(journal.runs),
        key=_key(plan, fingerprint, journal),
        kind="measured",
        how=f"measured in up to {SESSIONS} sessions ({journal.seconds:.0f} s on the device)",
        sources=(f"{plan.name}.samples.jsonl",),
        where=f"measured on {plan.options.device}",
        dropped=tuple(dropped),
        seconds=journal.seconds,
        effort="on the device",
    )
    return concluded(plan, evidence, command, export_s)


def concluded(plan: CalibrationPlan, evidence: Evidence, command: Sequence[str], export_s: float) -> MeasuredModel:
    """Fit what was found, judge it on the held-out subnets, and write target, latency file and report.

    Raises:
        DeviceError: too little was found.
    """
    found = evidence.found
    fitted = [item for item in plan.role("fit") if item.name in found]
    held = [item for item in plan.role("held-out") if item.name in found]
    if len(fitted) < _LEAST_FITTED or len(held) < _LEAST_FITTED:
        raise DeviceError(
            f"too little was measured: {len(fitted)} subnets to fit with, {len(held)} to judge by",
            "the runs were lost, or the budget ended in the first of them",
            "the same command measures lost runs again; where the budget ended, a larger --budget begins anew",
        )
    units = [
        UnitSample(item.name, found[item.name].ms, found[item.name].sd)
        for item in plan.role("unit")
        if item.name in found
    ]
    networks = [_sample(item, found) for item in fitted]
    words = (
        f"{len(units)} blocks and {len(networks)} random subnets of '{plan.space.name}', {evidence.how}, as "
        f"corrections of the analytic model of {plan.target.name}."
    )
    provenance = Provenance(evidence.kind, words, evidence.sources, " ".join(command))
    model = fit_fitted(plan.space, plan.prior, units, networks, evidence.key, provenance)
    lines = _judge(plan, model, held, found)
    checks, within5, within10 = figures(lines)
    model.provenance = dataclasses.replace(provenance, cross_validation=(checks,))
    path = _write(plan, model)
    result = MeasuredModel(
        *(model, lines, checks, within5, within10, evidence.dropped, export_s, evidence.seconds, path, evidence.effort)
    )
    write_json(plan.options.out / f"{plan.name}.calibration.json", report_json(plan, result, found))
    write_bytes(result.chart, str(_chart(plan, result, evidence.where)).encode())
    return result


def _chart(plan: CalibrationPlan, result: MeasuredModel, where: str) -> Markup:
    title = f"{plan.name}: {len(result.held_out)} subnets that the fit has not seen"
    subtitle = f"mean error {100 * result.checks.mape:.1f} %, {where}"
    points = [Judged(each.measured_ms, each.predicted_ms, each.low90, each.high90) for each in result.held_out]
    return judged_chart(title, subtitle, points)


def _sample(item: Item, found: Mapping[str, Sampled]) -> NetworkSample:
    assert item.subnet is not None
    return NetworkSample(item.subnet, found[item.name].ms, found[item.name].sd)


def _key(plan: CalibrationPlan, fingerprint: Fingerprint, journal: Journal) -> Key:
    facts = next((run.facts for run in reversed(journal.runs) if run.facts), {})
    return Key(
        device=" / ".join(part for part in (fingerprint.model, fingerprint.cpu, fingerprint.arch) if part),
        runtime=plan.runtime.name,
        version=f"{plan.runtime.title} {facts.get('version', 'of unknown version')}",
        precision=plan.precision,
        threads=plan.target.runtime.threads,
        os_build=f"{fingerprint.os}, kernel {fingerprint.kernel}",
        runtime_digest=facts.get("runtime_digest") or None,
        affinity=f"not pinned, {fingerprint.cores} cores",
    )


def _judge(
    plan: CalibrationPlan, model: FittedModel, held: Sequence[Item], found: Mapping[str, Sampled]
) -> tuple[HeldOut, ...]:
    lines = []
    for item in held:
        assert item.subnet is not None
        interval = {name: float(value) for name, value in model.predict(item.subnet).to_json().items()}
        seen = found[item.name]
        lines.append(HeldOut(item.subnet, seen.ms, seen.sd, interval.pop("ms"), **interval))
    return tuple(lines)


def figures(lines: Sequence[HeldOut]) -> tuple[CrossValidation, float, float]:
    """How well the held-out subnets were predicted; the shares within 5 % and within 10 %."""
    seen, likely = (np.array([getattr(line, name) for line in lines]) for name in ("measured_ms", "predicted_ms"))
    error = np.abs(likely / seen - 1)

    def inside(share: int) -> float:
        ends = [(getattr(line, f"low{share}"), getattr(line, f"high{share}")) for line in lines]
        return float(np.mean([low <= ms <= high for (low, high), ms in zip(ends, seen, strict=True)]))

    checks = CrossValidation(
        held_out="random subnets of the same space, measured in the same sessions and not fitted to",
        networks=len(lines),
        mape=float(error.mean()),
        bias=float(np.median(np.log(seen / likely))),
        spearman=spearman(likely, seen) if len(lines) >= 4 else None,
        coverage50=inside(50),
        coverage90=inside(90),
    )
    return checks, float(np.mean(error <= 0.05)), float(np.mean(error <= 0.1))


def _write(plan: CalibrationPlan, model: FittedModel) -> Path:
    """The latency file, then the target file that names it."""
    folder = plan.options.out
    own = find_facts(plan.target, plan.runtime.name, plan.precision, outside_key=True)[0]
    facts = changed(FittedFacts.of(model), silicon=own.silicon).model_dump(mode="json")
    space = plan.space
    content = {"schema": 2, "kind": "fitted", "space": space.hash, "resolutions": space.resolutions, "models": [facts]}
    latency = folder / f"{plan.name}.latency.json"
    write_bytes(latency, (json.dumps(content, indent=1) + "\n").encode())
    threads = plan.target.runtime.threads
    tables = plan.runtime.target_tables(plan.target, threads)
    runs = RunsAs(plan.runtime.name, plan.precision, threads, tables=tables)
    path = folder / f"{plan.name}.toml"
    write_target(path, plan.target, f"{model.key.device}, calibrated for '{plan.space.name}'", runs, latency.name)
    return path


def report_json(plan: CalibrationPlan, result: MeasuredModel, found: Mapping[str, Sampled]) -> dict[str, Any]:
    """All that the calibration knows, for programs: what was measured, held out, dropped, and how good the fit is."""
    return {
        "plan": plan.facts(),
        "key": dataclasses.asdict(result.model.key),
        "held_out": [{**dataclasses.asdict(line), "subnet": line.subnet.config()} for line in result.held_out],
        "fitted": [
            {"subnet": sample.subnet.config(), "ms": sample.ms, "sd": sample.sd} for sample in result.model.networks
        ],
        "units": [dataclasses.asdict(sample) for sample in result.model.units],
        "sessions": {name: item.sessions for name, item in sorted(found.items())},
        "checks": dataclasses.asdict(result.checks) | {"within5": result.within5, "within10": result.within10},
        "extrapolated": list(result.model.extrapolated),
        "dropped": list(result.dropped),
        "export_s": result.export_s,
        "device_s": result.device_s,
    }
