"""`ofa-edge calibrate`: export and measure what was planned; `result` makes a model of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.cache import StageCache
from ofa_edge.device.access import held
from ofa_edge.device.measuring.turns import check_timeable
from ofa_edge.device.needs import require
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.device.registry.devices_file import open_connection
from ofa_edge.errors import ConfigError, DeviceError
from ofa_edge.latency.units import unit_table
from ofa_edge.output import reserved
from ofa_edge.runtimes import Timer
from ofa_edge.workflows.calibrate.guards import Guard, judged_by
from ofa_edge.workflows.calibrate.journal import Journal, Run
from ofa_edge.workflows.calibrate.plan import (
    CHUNK,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    SAMPLE_US,
    SESSIONS,
    CalibrationPlan,
    Item,
)
from ofa_edge.workflows.calibrate.result import MeasuredModel, conclude
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces, pieces

Say = Callable[[str], None]
_GIVE_UP = 3  # runs lost one after the other


def calibrate(plan: CalibrationPlan, cache: StageCache, command: Sequence[str], say: Say) -> MeasuredModel:
    """Run a plan; one that was interrupted goes on where it stopped.

    Args:
        plan: what to measure.
        cache: keeps the exported models.
        command: for the provenance.
        say: told what happens.

    Raises:
        DeviceBusyError: somebody else holds the device, or it cannot be prepared.
        OutputError: another calibration writes the same files.
        DeviceError: so much was lost that nothing can be fitted; what was measured is kept.
        UnsupportedError: the device is emulated, or of another architecture.
    """
    connection = open_connection(plan.options.device, plan.target)
    if connection is None:
        raise ConfigError("no device to calibrate on", "--device none", "--device NAME, or local for this machine")
    try:
        fingerprint = check_timeable(connection, plan.target.hardware.arch, "calibrate")
        require(connection, plan.runtime.needs(plan.target, fingerprint))
        turns = plan.runtime.turns
        assert turns is not None  # `make_calibration_plan` refuses others
        # Before any work: who comes second is told at once, and touches neither the samples nor this machine's peace.
        with reserved(plan.options.out / plan.name), held(connection, plan.target) as conditions:
            assert conditions is not None  # `check_timeable` refuses emulated devices
            start = time.perf_counter()
            models = export_items(plan, cache, say)
            export_s = time.perf_counter() - start
            journal = Journal(plan.options.out / f"{plan.name}.samples.jsonl", _head(plan, fingerprint))
            if journal.damaged:
                lines, name = ", ".join(map(str, journal.damaged)), journal.path.name
                say(f"lines {lines} of {name} cannot be read and are measured again ({journal.path}.damaged)")
            say(f"exported {len(models)} models in {export_s:.0f} s; {journal.seconds:.0f} s measured before")
            with turns.open(connection, plan.target, SAMPLE_US) as program:
                Measuring(plan, connection, program, models, journal, judged_by(conditions), say).run()
            return conclude(plan, journal, fingerprint, command, export_s)
    finally:
        connection.close()


def export_items(plan: CalibrationPlan, cache: StageCache, say: Say) -> dict[str, Path]:
    """A model for each item of the plan."""
    known = pieces(plan.space, unit_table(plan.space))
    wanted = [known[item.name] if item.subnet is None else Piece(item.subnet, "whole") for item in plan.items]
    making = Making(plan.runtime, plan.precision, plan.target)
    paths = export_pieces(
        plan.space, wanted, making, cache, lambda done, all_: say(f"export: {done} of {all_}") if all_ else None
    )
    return {item.name: path for item, path in zip(plan.items, paths, strict=True)}


@dataclass
class Measuring:
    """The measuring half of a calibration."""

    plan: CalibrationPlan
    connection: Connection
    program: Timer
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
            with self.guard(self.connection):  # which may wait until the device has cooled down
                start = time.perf_counter()
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
        turns = self.plan.runtime.turns
        assert turns is not None
        return turns.line(self.program.place(file), self._shape(item))

    def _shape(self, item: Item) -> tuple[int, ...]:
        if item.subnet is not None:
            return (1, self.plan.space.in_channels, item.subnet.resolution, item.subnet.resolution)
        table = unit_table(self.plan.space)
        first = table.units[table.by_name[item.name]].operators[0]
        return (1, first.in_channels, first.in_size, first.in_size)


def _affordable_rounds(first: Sequence[float], seconds: float) -> int:
    """Rounds of a run that may take so long, by what runs of LEAST_ROUNDS took."""
    return int(np.clip(LEAST_ROUNDS * seconds / float(np.mean(first)), LEAST_ROUNDS, MOST_ROUNDS))


def _head(plan: CalibrationPlan, fingerprint: Fingerprint) -> dict[str, Any]:
    """What samples that may be joined have in common."""
    device = {name: value for name, value in fingerprint.to_json().items() if name != "boot_id"}
    return {"plan": plan.facts(), "device": device}
