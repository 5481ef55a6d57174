"""`--tune`: the knobs of a network's functions, from the database or from a sweep on the device."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.access import connected, device_key, held
from ofa_edge.device.measuring.turns import TurnsProgram, check_timeable, open_turns
from ofa_edge.device.protocol import Connection
from ofa_edge.device.registry.devices_file import EMULATED
from ofa_edge.export.tvm.schedules import Knobs
from ofa_edge.export.tvm.tuning.acceptance import compare
from ofa_edge.export.tvm.tuning.budget import Budget
from ofa_edge.export.tvm.tuning.database import (
    Database,
    NetworkVerdict,
    Place,
    TunedFunction,
    choices_digest,
    default_path,
    place,
    today,
)
from ofa_edge.export.tvm.tuning.functions import NetworkFunction, network_functions
from ofa_edge.export.tvm.tuning.tuner import Bench, tune, weigh
from ofa_edge.export.tvm.tuning.turns import MAIN, Turn, argument
from ofa_edge.files import write_bytes
from ofa_edge.records.schedules import TunedFunctionRecord, TuningRecord
from ofa_edge.runtimes.tvm_family import TvmRuntime, tvm_target
from ofa_edge.runtimes.values import Converted, Export, Stages

NETWORK_ROUNDS = 41
_NETWORK_LIMIT_S = 60.0
_KEYS = "keys.json"
_WEIGH_SHARE = 0.1  # of the budget, at most, to find out where time goes


@dataclass(frozen=True)
class ConnectionTimer:
    """`export.tuning.turns.Timer` over a connection."""

    program: TurnsProgram

    def time(self, turns: Sequence[Turn], rounds: int, limit_s: float) -> NDArray[np.float64]:
        """See `Timer`."""
        names = {path: f"turn{index}.so" for index, path in enumerate(dict.fromkeys(turn.library for turn in turns))}
        lines = [" ".join((self.program.place(names[turn.library]), turn.symbol, *turn.arguments)) for turn in turns]
        return self.program.time({name: path for path, name in names.items()}, lines, rounds, limit_s)


def tuned_library(runtime: TvmRuntime, stages: Stages, export: Export) -> Converted:
    """The library of a network, with the knobs that tuning found now or earlier."""
    from ofa_edge.export.tvm.compile import make_target

    tuning = export.tuning
    if not (tuning.seconds or tuning.use_known):
        return runtime.library(stages, export)
    database, target = Database(default_path()), make_target(tvm_target(export.target), runtime.kind)
    if tuning.seconds:
        with connected(tuning.device, export.target, "tune") as connection:
            device = device_key(check_timeable(connection, export.target.hardware.arch))
            with held(connection, export.target):
                return _Tuning(runtime, stages, export, database, place(device, target), target).sweep(connection)
    devices = database.devices(target)
    at_hand = _device_at_hand(export, devices) if devices else None
    if at_hand is None:
        return runtime.library(stages, export)
    return _Tuning(runtime, stages, export, database, place(at_hand, target), target).reuse()


def _device_at_hand(export: Export, devices: Sequence[str]) -> str | None:
    """The device whose records count: the build's own; with none or an emulated one, that which was tuned last."""
    if export.tuning.device in ("none", *EMULATED):
        return devices[0]
    with connected(export.tuning.device, export.target, "tune") as connection:
        fingerprint = connection.fingerprint()
    if fingerprint.device_kind == "emulated":
        return devices[0]
    key = device_key(fingerprint)
    return key if key in devices else None


@dataclass
class _Tuning:
    """One network in one place."""

    runtime: TvmRuntime
    stages: Stages
    export: Export
    database: Database
    where: Place
    target: Any
    notes: list[str] = field(default_factory=list)

    def reuse(self) -> Converted:
        """The library with what the database knows."""
        keys = self._function_keys()
        known = self._known(keys)
        choices = _choices(known)
        verdict = self.database.network(self.where, choices_digest(keys, choices))
        if verdict is not None and not verdict.kept:
            self.notes.append("an earlier comparison of whole libraries found these knobs no faster: they are not used")
        kept = verdict is None or verdict.kept
        model = self._library(choices if kept else {})
        return replace(model, tuning=self._record(keys, known, kept, verdict, 0.0))

    def sweep(self, connection: Connection) -> Converted:
        """Tune within the budget, then hold the tuned library against the untuned one."""
        from ofa_edge.device.emulation.sysroot import cache_folder
        from ofa_edge.device.runners.build import build_tvm_turns

        damage = self.database.damage()
        if damage:
            self.notes.append(f"the tuning database was damaged and begun anew ({damage})")
        untuned = self._library({})
        program = build_tvm_turns(self.export.target.hardware.arch, cache_folder())
        with open_turns(connection, program, self.export.target.runtime.threads) as turns:
            timer = ConnectionTimer(turns)
            keys, seconds = self.stages.timed("tune", lambda: self._tune(timer, untuned.path))
            known = self._known(keys)
            choices = _choices(known)
            model, verdict = untuned, None
            if choices:
                model = self._library(choices)
                verdict = self._compare(timer, untuned, model)
                self.database.put_network(self.where, choices_digest(keys, choices), verdict)
            kept = verdict is None or verdict.kept
            if not kept:
                self.notes.append("the tuned library was not faster than the untuned one, which is kept")
        record = self._record(keys, known, kept, verdict, seconds)
        return replace(model if kept else untuned, tuning=record)

    def _library(self, knobs: Mapping[str, Knobs]) -> Converted:
        return self.runtime.library(self.stages, self.export, knobs)

    def _function_keys(self) -> tuple[str, ...]:
        """What the library's functions compute (`schedules.workload_key`), sorted; those that rules take."""

        def produce(folder: Path) -> None:
            found = network_functions(self.export.network.onnx, self.target, self.export.precision)
            write_bytes(folder / _KEYS, json.dumps(sorted(each.key for each in found)).encode())

        inputs = {
            "model": self.export.network.digest,
            "target": dict(tvm_target(self.export.target)),
            "precision": self.export.precision,
        }
        entry = self.stages.run("tvm-functions", inputs, ("apache-tvm",), produce)
        return tuple(json.loads(entry.path(_KEYS).read_bytes()))

    def _tune(self, timer: ConnectionTimer, untuned: Path) -> tuple[str, ...]:
        budget = Budget(self.export.tuning.seconds)
        functions = network_functions(self.export.network.onnx, self.target, self.export.precision)
        bench = Bench(self.target, timer)
        known = set() if not self.export.tuning.use_known else set(self.database.functions(self.where))
        todo: Sequence[NetworkFunction] = [each for each in functions if each.key not in known]
        if todo:
            todo = weigh(todo, untuned, timer, _WEIGH_SHARE * budget.seconds)
            swept = tune(todo, bench, self.database, self.where, budget, again=not self.export.tuning.use_known)
            if swept.left:
                self.notes.append(f"the budget ended before {swept.left} functions were tuned; run it again to go on")
        return tuple(sorted(each.key for each in functions))

    def _compare(self, timer: ConnectionTimer, untuned: Converted, tuned: Converted) -> NetworkVerdict:
        """Both libraries in turn, A B B A."""
        inputs = tuple(argument("float32", shape) for shape in self.export.network.interface.shapes)
        turns = [Turn(each.path, MAIN, inputs) for each in (untuned, tuned)]
        times = timer.time(turns, NETWORK_ROUNDS, _NETWORK_LIMIT_S)
        if len(times) == 0:
            return NetworkVerdict(1.0, 1.0, False, today())
        seen = compare(times[:, 0], times[:, 1])
        return NetworkVerdict(seen.ratio, seen.chance, seen.faster(least_gain=0.0), today())

    def _known(self, keys: Sequence[str]) -> dict[str, TunedFunction]:
        records = self.database.functions(self.where)
        return {key: records[key] for key in keys if key in records}

    def _record(
        self,
        keys: Sequence[str],
        known: Mapping[str, TunedFunction],
        kept: bool,
        verdict: NetworkVerdict | None,
        seconds: float,
    ) -> TuningRecord:
        choices = _choices(known)
        tuned = tuple(
            TunedFunctionRecord(
                key=key, default_us=known[key].default_us, best_us=known[key].best_us, ratio=known[key].ratio
            )
            for key in sorted(choices)
        )
        return TuningRecord(
            device=self.where.device,
            functions=len(keys),
            known=len(known),
            tuned=tuned if kept else (),
            choices=choices_digest(keys, choices if kept else {}),
            kept=kept,
            ratio=None if verdict is None else verdict.ratio,
            budget_s=self.export.tuning.seconds,
            seconds=seconds,
            notes=tuple(self.notes),
        )


def _choices(known: Mapping[str, TunedFunction]) -> dict[str, Knobs]:
    """Knobs other than the defaults, by function."""
    return {key: record.knobs for key, record in sorted(known.items()) if not record.is_default}
