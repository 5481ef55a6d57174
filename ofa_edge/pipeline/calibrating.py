"""`ofa-edge calibrate`: export, measure, fit, and say how well the fit predicts what it has not seen."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.device.devices_file import open_connection
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.device.turns import check_timeable, open_litert_turns, open_turns
from ofa_edge.errors import ConfigError, DeviceError
from ofa_edge.files import sha256_file, write_bytes, write_json
from ofa_edge.latency.fitted import FittedModel, NetworkSample, UnitSample, fit_fitted
from ofa_edge.latency.load import FittedFacts
from ofa_edge.latency.protocol import CrossValidation, Key, Provenance
from ofa_edge.latency.target_file import RunsAs, write_target
from ofa_edge.latency.units import UnitTable
from ofa_edge.metrics import spearman
from ofa_edge.pipeline.calibration_guards import Guard, judged_by
from ofa_edge.pipeline.calibration_journal import Journal, Run, Sampled, sampled, slowed
from ofa_edge.pipeline.calibration_plan import (
    CHUNK,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    SAMPLE_US,
    SESSIONS,
    CalibrationPlan,
    Item,
)
from ofa_edge.pipeline.on_device import held
from ofa_edge.pipeline.unit_models import Piece, Recipe, export_pieces, pieces
from ofa_edge.space import Subnet

Say = Callable[[str], None]
_GIVE_UP = 3  # runs lost one after the other
_LEAST_FITTED = 3  # networks, below which nothing can be said


class Program(Protocol):
    """What times models in turn; `device.turns.TurnsProgram` fits."""

    facts: dict[str, str]

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        """Nanoseconds of one call [rounds, turns]."""

    def send(self, libraries: Mapping[str, Path]) -> None:
        """Put files on the device that are not there yet."""

    def place(self, name: str) -> str:
        """Where a file lies on the device."""


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
class Calibration:
    """What came out.

    Attributes:
        model: the fitted model.
        held_out: the subnets that judge it.
        checks: the figures over them.
        within5, within10: shares of them whose prediction is that near.
        dropped: runs that do not count, and why.
        export_s, device_s: seconds.
        target: the target file that was written.
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


def calibrate(plan: CalibrationPlan, cache: StageCache, command: Sequence[str], say: Say) -> Calibration:
    """Run a plan; one that was interrupted goes on where it stopped.

    Args:
        plan: what to measure.
        cache: keeps the exported models.
        command: for the provenance.
        say: told what happens.

    Raises:
        DeviceBusyError: somebody else holds the device, or it cannot be prepared.
        DeviceError: so much was lost that nothing can be fitted; what was measured is kept.
        UnsupportedError: the device is emulated, or of another architecture.
    """
    connection = open_connection(plan.options.device, plan.target)
    if connection is None:
        raise ConfigError("no device to calibrate on", "--device none", "--device NAME, or local for this machine")
    try:
        fingerprint = check_timeable(connection, plan.target.hardware.arch, "calibrate")
        start = time.perf_counter()
        models = export_items(plan, cache, say)
        export_s = time.perf_counter() - start
        journal = Journal(plan.options.out / f"{plan.name}.samples.jsonl", _head(plan, fingerprint))
        say(f"exported {len(models)} models in {export_s:.0f} s; {journal.seconds:.0f} s measured before")
        with held(connection) as conditions, _program(plan, connection) as program:
            assert conditions is not None  # `check_timeable` refuses emulated devices
            Measuring(plan, connection, program, models, journal, judged_by(conditions), say).run()
    finally:
        connection.close()
    return conclude(plan, journal, fingerprint, command, export_s)


def export_items(plan: CalibrationPlan, cache: StageCache, say: Say) -> dict[str, Path]:
    """A model for each item of the plan."""
    known = pieces(plan.space, UnitTable(plan.space))
    wanted = [known[item.name] if item.subnet is None else Piece(item.subnet, "whole") for item in plan.items]
    target = plan.target.runtime.tvm
    tvm = {**target.target, "num-cores": plan.target.runtime.threads} if plan.runtime == "tvm" and target else None
    recipe = Recipe(plan.runtime, plan.precision, tvm)
    paths = export_pieces(
        plan.space, wanted, recipe, cache, lambda done, all_: say(f"export: {done} of {all_}") if all_ else None
    )
    return {item.name: path for item, path in zip(plan.items, paths, strict=True)}


@contextlib.contextmanager
def _program(plan: CalibrationPlan, connection: Connection) -> Iterator[Program]:
    threads = plan.target.runtime.threads
    if plan.runtime == "tflite":
        with open_litert_turns(connection, threads, SAMPLE_US) as program:
            yield program
        return
    from ofa_edge.device.runners.build import build_tvm_turns
    from ofa_edge.device.sysroot import cache_folder

    folder = build_tvm_turns(plan.target.hardware.arch, cache_folder())
    with open_turns(connection, folder, threads, SAMPLE_US) as program:
        yield _WithRuntime(program, folder)


class _WithRuntime:
    """TVM's program, which does not say which runtime it is linked to."""

    def __init__(self, program: Program, folder: Path) -> None:
        from importlib import metadata

        self._program = program
        digest = sha256_file(folder / "libtvm_runtime.so")
        self.facts = {"version": metadata.version("apache-tvm"), "runtime_digest": digest}
        self.place, self.send = program.place, program.send

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        """See `Program`."""
        found = self._program.time(libraries, lines, rounds, limit_s)
        self.facts = {**self._program.facts, **self.facts}
        return found


@dataclass
class Measuring:
    """The measuring half of a calibration."""

    plan: CalibrationPlan
    connection: Connection
    program: Program
    models: Mapping[str, Path]
    journal: Journal
    guard: Guard
    say: Say
    _lost: list[DeviceError] = field(default_factory=list)

    def run(self) -> None:
        """Measure what is not measured yet, until the budget ends or the device does not come back."""
        for session in range(SESSIONS):
            chunks = self._chunks(session)
            for number, chunk in enumerate(chunks):
                if self.journal.done(session, number):
                    continue
                if self.journal.seconds >= self.plan.budget_s:
                    self.say(f"the budget ended in session {session + 1} of {SESSIONS}")
                    return
                share = 2 * self.plan.budget_s / SESSIONS / len(chunks)  # no slow run eats the others' time
                self._one(session, number, chunk, self._rounds(session, len(chunks)), share)
                if len(self._lost) >= _GIVE_UP:
                    self.say(f"{_GIVE_UP} runs were lost one after the other: measuring ends here")
                    return
            self.say(f"session {session + 1} of {SESSIONS}: {self.journal.seconds:.0f} s so far")

    def _chunks(self, session: int) -> list[list[Item]]:
        """Items in random groups, other ones in each session: so runs can be compared by the items that they share."""
        items = self.plan.items
        order = np.random.default_rng((self.plan.options.seed, session)).permutation(len(items))
        return [[items[index] for index in group] for group in np.array_split(order, -(-len(items) // CHUNK))]

    def _rounds(self, session: int, chunks: int) -> int:
        """Rounds of a run: few in the first session, then what the budget allows by what that one took."""
        first = [run for run in self.journal.runs if run.session == 0 and not run.dropped]
        if session == 0 or not first:
            return LEAST_ROUNDS
        left = self.plan.budget_s - self.journal.seconds
        done = sum(run.session == session and not run.dropped for run in self.journal.runs)
        runs = chunks * (SESSIONS - session) - done
        return _affordable_rounds([run.seconds for run in first], left / max(1, runs))

    def _one(self, session: int, number: int, chunk: Sequence[Item], rounds: int, share: float) -> None:
        names = tuple(item.name for item in chunk)
        places = {name: index for index, name in enumerate(self.models)}  # units' names are no plain file names
        files = {f"{places[name]}{self.models[name].suffix}": self.models[name] for name in names}
        lines = [self._line(name, item) for name, item in zip(files, chunk, strict=True)]
        left = min(share, self.plan.budget_s - self.journal.seconds)
        seconds, why, ns = 0.0, "", np.zeros((0, len(chunk)))
        try:
            self.program.send(files)
            with self.guard(self.connection):
                start = time.perf_counter()  # waiting for a cool device costs no budget
                try:
                    ns = self.program.time(files, lines, rounds, left)
                finally:
                    seconds = time.perf_counter() - start
            self._lost.clear()
            if not len(ns):
                why = "no round was finished"
        except DeviceError as error:
            why = f"{type(error).__name__}: {error.what}: {error.why}"
            ns = np.zeros((0, len(chunk)))
            self._lost.append(error)
            self.say(f"dropped: {why}")
        self.journal.add(Run(session, number, names, ns, seconds, rounds, why, dict(self.program.facts)))

    def _line(self, file: str, item: Item) -> str:
        place = self.program.place(file)
        if self.plan.runtime == "tflite":
            return place
        return f"{place} vm:main float32:{','.join(map(str, self._shape(item)))}"

    def _shape(self, item: Item) -> tuple[int, ...]:
        if item.subnet is not None:
            return (1, self.plan.space.in_channels, item.subnet.resolution, item.subnet.resolution)
        table = UnitTable(self.plan.space)
        first = table.units[table.by_name[item.name]].operators[0]
        return (1, first.in_channels, first.in_size, first.in_size)


def _affordable_rounds(first: Sequence[float], seconds: float) -> int:
    """Rounds of a run that may take so long, by what runs of LEAST_ROUNDS took."""
    return int(np.clip(LEAST_ROUNDS * seconds / float(np.mean(first)), LEAST_ROUNDS, MOST_ROUNDS))


def _head(plan: CalibrationPlan, fingerprint: Fingerprint) -> dict[str, Any]:
    """What samples that may be joined have in common."""
    device = {name: value for name, value in fingerprint.to_json().items() if name != "boot_id"}
    return {"plan": plan.facts(), "device": device}


def conclude(
    plan: CalibrationPlan, journal: Journal, fingerprint: Fingerprint, command: Sequence[str], export_s: float
) -> Calibration:
    """Fit what was measured, judge it on the held-out subnets, and write target, latency file and report.

    Raises:
        DeviceError: too little was measured.
    """
    found = sampled(journal.runs)
    fitted = [item for item in plan.role("fit") if item.name in found]
    held = [item for item in plan.role("held-out") if item.name in found]
    if len(fitted) < _LEAST_FITTED or len(held) < _LEAST_FITTED:
        raise DeviceError(
            f"too little was measured: {len(fitted)} subnets to fit with, {len(held)} to judge by",
            "the runs were lost, or the budget ended in the first of them",
            "the same command goes on; or a larger --budget",
        )
    units = [
        UnitSample(item.name, found[item.name].ms, found[item.name].sd)
        for item in plan.role("unit")
        if item.name in found
    ]
    networks = [_sample(item, found) for item in fitted]
    key = _key(plan, fingerprint, journal)
    words = (
        f"{len(units)} blocks and {len(networks)} random subnets of '{plan.space.name}', measured in up to {SESSIONS} "
        f"sessions ({journal.seconds:.0f} s on the device), as corrections of the analytic model of {plan.target.name}."
    )
    provenance = Provenance("measured", words, (f"{plan.name}.samples.jsonl",), " ".join(command))
    model = fit_fitted(plan.space, plan.prior, units, networks, key, provenance)
    lines = _judge(plan, model, held, found)
    checks, within5, within10 = figures(lines)
    model.provenance = dataclasses.replace(provenance, cross_validation=(checks,))
    dropped = [f"session {run.session + 1}: {run.dropped}" for run in journal.runs if run.dropped]
    dropped += [
        f"session {run.session + 1}: everything in it was slower than in the others: a hot or busy device"
        for run in slowed(journal.runs)
    ]
    path = _write(plan, model)
    result = Calibration(model, lines, checks, within5, within10, tuple(dropped), export_s, journal.seconds, path)
    write_json(plan.options.out / f"{plan.name}.calibration.json", report_json(plan, result, found))
    return result


def _sample(item: Item, found: Mapping[str, Sampled]) -> NetworkSample:
    assert item.subnet is not None
    return NetworkSample(item.subnet, found[item.name].ms, found[item.name].sd)


def _key(plan: CalibrationPlan, fingerprint: Fingerprint, journal: Journal) -> Key:
    facts = next((run.facts for run in reversed(journal.runs) if run.facts), {})
    return Key(
        device=" / ".join(part for part in (fingerprint.model, fingerprint.cpu, fingerprint.arch) if part),
        runtime=plan.runtime,
        version=f"{'LiteRT' if plan.runtime == 'tflite' else 'TVM'} {facts.get('version', 'of unknown version')}",
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
    facts = FittedFacts.of(model).model_dump(mode="json")
    content = {"schema": 2, "kind": "fitted", "space": plan.space.hash, "models": [facts]}
    latency = folder / f"{plan.name}.latency.json"
    write_bytes(latency, (json.dumps(content, indent=1) + "\n").encode())
    runs = RunsAs(plan.runtime, plan.precision, plan.target.runtime.threads)
    path = folder / f"{plan.name}.toml"
    write_target(path, plan.target, f"{model.key.device}, calibrated for '{plan.space.name}'", runs, latency.name)
    return path


def report_json(plan: CalibrationPlan, result: Calibration, found: Mapping[str, Sampled]) -> dict[str, Any]:
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
