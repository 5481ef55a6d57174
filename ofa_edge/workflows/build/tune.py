"""`--tune`: the knobs of a network's functions, from the database or from a sweep on the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import CacheEntry
from ofa_edge.device.measuring.turns import TurnsProgram, check_timeable, open_turns
from ofa_edge.device.protocol import Connection, Fingerprint
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
from ofa_edge.records.schedules import TunedFunctionRecord, TuningRecord
from ofa_edge.space import Subnet
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.on_device import connected, held
from ofa_edge.workflows.build.plan import Plan
from ofa_edge.workflows.build.stages import MODEL, StageRunner

NETWORK_ROUNDS = 41
_NETWORK_LIMIT_S = 60.0
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


@dataclass(frozen=True)
class Tuned:
    """The library of a build, and what tuning had to do with it.

    Attributes:
        model: stage entry of the library.
        record: for the manifest; None where tuning had no part.
    """

    model: CacheEntry
    record: TuningRecord | None = None


def check_device(plan: Plan) -> None:
    """Raise, before any work, where `--tune` was asked for on a device that cannot be reached or gives no times."""
    if plan.tune_s:
        with connected(plan, "tune") as connection:
            check_timeable(connection, plan.target.hardware.arch)


def tuned_library(runner: StageRunner, plan: Plan, onnx: CacheEntry, subnet: Subnet) -> Tuned:
    """The TVM library of a plan, with the knobs that tuning found now or earlier."""
    if plan.cuda or not (plan.tune_s or plan.options.tune_db):
        return Tuned(stages.to_tvm(runner, plan, onnx))
    from ofa_edge.export.tvm.compile import make_target

    database, target = Database(default_path()), make_target(plan.tvm_target, "llvm")
    if plan.tune_s:
        with connected(plan, "tune") as connection:
            device = device_key(check_timeable(connection, plan.target.hardware.arch))
            with held(connection):
                return _Tuning(runner, plan, onnx, subnet, database, place(device, target), target).sweep(connection)
    devices = database.devices(target)
    at_hand = _device_at_hand(plan, devices) if devices else None
    if at_hand is None:
        return Tuned(stages.to_tvm(runner, plan, onnx))
    return _Tuning(runner, plan, onnx, subnet, database, place(at_hand, target), target).reuse()


def device_key(fingerprint: Fingerprint) -> str:
    """What makes times comparable: the board and its processor, as the device says."""
    return " / ".join(part for part in (fingerprint.model, fingerprint.cpu, fingerprint.arch) if part)


def _device_at_hand(plan: Plan, devices: Sequence[str]) -> str | None:
    """The device whose records count: the plan's own; with none or an emulated one, that which was tuned last."""
    if plan.device.name == "none" or plan.device.emulated:
        return devices[0]
    with connected(plan, "tune") as connection:
        fingerprint = connection.fingerprint()
    if fingerprint.device_kind == "emulated":
        return devices[0]
    key = device_key(fingerprint)
    return key if key in devices else None


@dataclass
class _Tuning:
    """One network in one place."""

    runner: StageRunner
    plan: Plan
    onnx: CacheEntry
    subnet: Subnet
    database: Database
    where: Place
    target: Any
    notes: list[str] = field(default_factory=list)

    def reuse(self) -> Tuned:
        """The library with what the database knows."""
        keys = stages.function_keys(self.runner, self.plan, self.onnx)
        known = self._known(keys)
        choices = _choices(known)
        verdict = self.database.network(self.where, choices_digest(keys, choices))
        if verdict is not None and not verdict.kept:
            self.notes.append("an earlier comparison of whole libraries found these knobs no faster: they are not used")
        kept = verdict is None or verdict.kept
        model = stages.to_tvm(self.runner, self.plan, self.onnx, choices if kept else {})
        return Tuned(model, self._record(keys, known, kept, verdict, 0.0))

    def sweep(self, connection: Connection) -> Tuned:
        """Tune within the budget, then hold the tuned library against the untuned one."""
        from ofa_edge.device.emulation.sysroot import cache_folder
        from ofa_edge.device.runners.build import build_tvm_turns

        damage = self.database.damage()
        if damage:
            self.notes.append(f"the tuning database was damaged and begun anew ({damage})")
        untuned = stages.to_tvm(self.runner, self.plan, self.onnx)
        program = build_tvm_turns(self.plan.target.hardware.arch, cache_folder())
        with open_turns(connection, program, self.plan.target.runtime.threads) as turns:
            timer = ConnectionTimer(turns)
            keys, seconds = self.runner.timed("tune", lambda: self._tune(timer, untuned.path("model.so")))
            known = self._known(keys)
            choices = _choices(known)
            model, verdict = untuned, None
            if choices:
                model = stages.to_tvm(self.runner, self.plan, self.onnx, choices)
                verdict = self._compare(timer, untuned, model)
                self.database.put_network(self.where, choices_digest(keys, choices), verdict)
            kept = verdict is None or verdict.kept
            if not kept:
                self.notes.append("the tuned library was not faster than the untuned one, which is kept")
        return Tuned(model if kept else untuned, self._record(keys, known, kept, verdict, seconds))

    def _tune(self, timer: ConnectionTimer, untuned: Path) -> tuple[str, ...]:
        budget = Budget(self.plan.tune_s)
        functions = network_functions(self.onnx.path(MODEL), self.target, self.plan.precision)
        bench = Bench(self.target, timer)
        known = set() if not self.plan.options.tune_db else set(self.database.functions(self.where))
        todo: Sequence[NetworkFunction] = [each for each in functions if each.key not in known]
        if todo:
            todo = weigh(todo, untuned, timer, _WEIGH_SHARE * budget.seconds)
            swept = tune(todo, bench, self.database, self.where, budget, again=not self.plan.options.tune_db)
            if swept.left:
                self.notes.append(f"the budget ended before {swept.left} functions were tuned; run it again to go on")
        return tuple(sorted(each.key for each in functions))

    def _compare(self, timer: ConnectionTimer, untuned: CacheEntry, tuned: CacheEntry) -> NetworkVerdict:
        """Both libraries in turn, A B B A."""
        size = self.subnet.resolution
        image = argument("float32", (1, self.plan.package.space.in_channels, size, size))
        turns = [Turn(each.path("model.so"), MAIN, (image,)) for each in (untuned, tuned)]
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
            budget_s=self.plan.tune_s,
            seconds=seconds,
            notes=tuple(self.notes),
        )


def _choices(known: Mapping[str, TunedFunction]) -> dict[str, Knobs]:
    """Knobs other than the defaults, by function."""
    return {key: record.knobs for key, record in sorted(known.items()) if not record.is_default}
