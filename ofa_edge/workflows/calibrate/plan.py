"""What a calibration will measure, decided before it starts: which units and subnets, and how the budget is spent."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge import extras
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.tvm.tuning.budget import parse_duration
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.latency.analytic import Coefficients
from ofa_edge.latency.design import choose_units
from ofa_edge.latency.fitted import prior_of
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.posterior import Units
from ofa_edge.latency.target_file import check_name
from ofa_edge.latency.units import UnitTable, unit_table
from ofa_edge.runtimes import CycleAccount, Runtime, require, runtimes_for
from ofa_edge.schema import changed
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import Precision
from ofa_edge.workflows.build.base import DevicePlan

SESSIONS = 5  # cold processes that see every item: the unit of evidence
LEAST_ROUNDS = 5  # of turns in a session
MOST_ROUNDS = 101
SAMPLE_US = 1000.0  # that one turn takes at least
CHUNK = 48  # models that take turns in one process
RUN_S = 2.0  # of a process: starting, loading, warming up
_LOAD_S = 0.02  # of one model
_COMPILE_S = 1.0  # to make one small model and have it compiled: cycles that a compiler tells take no device
_NETWORK_SHARE = 0.6  # of the budget, at most, unless nothing else is left to measure
_LEAST_NETWORKS = 6  # to fit with, and as many to hold out
_DESIGN_NETWORKS = 200  # whose variance the choice of units lowers


@dataclass(frozen=True)
class CalibrationOptions:
    """What the user asked for; None means the target's default."""

    target: str
    device: str = "none"
    budget: str = "5m"
    supernet: str = zoo.DEFAULT
    precision: Precision | None = None
    runtime: str | None = None
    threads: int | None = None
    networks: int = 40
    held_out: int = 30
    name: str | None = None
    out: Path = Path("targets")
    seed: int = 0


@dataclass(frozen=True)
class Item:
    """One thing to be timed: a unit by its name, or a whole subnet."""

    name: str
    role: str  # "unit", "fit" or "held-out"
    subnet: Subnet | None
    expected_ms: float

    @property
    def seconds(self) -> float:
        """What one session of LEAST_ROUNDS takes for it."""
        return session_seconds(self.expected_ms)


@dataclass(frozen=True)
class Effort:
    """What finding out takes of the budget: a run of so many seconds for each session, and each item's own."""

    sessions: int
    run_s: float
    item_s: Callable[[float], float]  # of one item in one session, from its milliseconds

    def share_s(self, budget_s: float) -> float:
        """What a session has for items."""
        return budget_s / self.sessions - self.run_s


@dataclass(frozen=True)
class CalibrationPlan:
    """A calibration, resolved."""

    options: CalibrationOptions
    target: Target  # with the threads that are asked for
    runtime: Runtime
    precision: Precision
    space: Space
    prior: Coefficients
    budget_s: float
    items: tuple[Item, ...]
    units: int  # that the space has, the call not counted
    account: CycleAccount | None = None  # where the compiler tells cycles, and nothing is timed

    @property
    def name(self) -> str:
        """Of the target that comes out."""
        if self.account is not None:
            return self.options.name or f"{self.target.name}-calibrated"
        how = f"{self.runtime.name}-{self.precision}-{self.target.runtime.threads}t"
        return self.options.name or f"{self.target.name}-{how}"

    @property
    def effort(self) -> Effort:
        """What each item takes."""
        return effort_of(self.account)

    def role(self, role: str) -> tuple[Item, ...]:
        """The items of one role."""
        return tuple(item for item in self.items if item.role == role)

    @property
    def digest(self) -> str:
        """What makes two runs the same calibration, whose samples may be joined."""
        return sha256_bytes(canonical_json(self.facts()))

    def facts(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "target": self.target.name,
            "device": self.options.device,
            "runtime": self.runtime.name,
            "precision": self.precision,
            "threads": self.target.runtime.threads,
            "space": self.space.hash,
            "seed": self.options.seed,
            "budget_s": self.budget_s,
            "sessions": self.effort.sessions,
            "items": [{"name": item.name, "role": item.role} for item in self.items],
            **({} if self.account is None else {"account": self.account.facts()}),
        }

    @property
    def estimated_s(self) -> float:
        """Seconds by the target's latency model, for as many rounds as are needed at least; or of compiling."""
        effort = self.effort
        return float(effort.sessions * (effort.run_s + sum(effort.item_s(item.expected_ms) for item in self.items)))

    def describe(self) -> str:
        """What is printed before anything is measured."""
        units, fit, held = (self.role(role) for role in ("unit", "fit", "held-out"))
        how = (
            f"on {self.options.device}: {self.runtime.name} {self.precision}, "
            f"{self.target.runtime.threads} threads, budget {self.budget_s:.0f} s on the device"
        )
        end = (
            f"  {SESSIONS} sessions of at least {LEAST_ROUNDS} rounds, estimated to take {self.estimated_s:.0f} s by "
            "the target's latency model; the rest of the budget goes into more rounds"
        )
        if self.account is not None:
            how = f"by the cycles of {self.account.name}: {self.runtime.name} {self.precision}, no device"
            end = f"  estimated to take {self.estimated_s:.0f} s of this machine"
        lines = [
            f"calibrate {self.target.name} {how}",
            f"  {len(units)} of the {self.units} units of '{self.space.name}' by themselves, {len(fit)} random subnets "
            f"to fit with, {len(held)} more held out",
            end,
        ]
        first = [f"    {item.name}  ({item.expected_ms:.3g} ms)" for item in units[:5]]
        return "\n".join([*lines, *(["  the most telling units:", *first] if first else [])])


def session_seconds(ms: float) -> float:
    """What one session of LEAST_ROUNDS takes for a model of so many milliseconds, its share of the process included."""
    turn = ms + max(ms, SAMPLE_US / 1e3)
    return (LEAST_ROUNDS + 1) * turn / 1e3 + _LOAD_S + RUN_S / CHUNK


def effort_of(account: CycleAccount | None) -> Effort:
    """What finding out takes, on a device or by a compiler."""
    return Effort(SESSIONS, RUN_S, session_seconds) if account is None else Effort(1, 0.0, lambda ms: _COMPILE_S)


def make_calibration_plan(options: CalibrationOptions) -> CalibrationPlan:
    """Resolve and check everything that can be known without work, and choose what to measure.

    Raises:
        UsageError: in one of its forms, such as a budget too small for any plan (says the least).
    """
    budget_s = parse_duration(options.budget, "--budget")
    target, runtime, precision = _resolve(options)
    account = runtime.cycle_account(target)
    _check_device(options.device, target, account)
    space = zoo.open_space(options.supernet)
    model = load_latency_model(target, space, runtime.name, precision, outside_key=True, silicon=False)
    prior = prior_of(model)
    table = unit_table(space)
    count = len(table.units) - 1
    plan = CalibrationPlan(options, target, runtime, precision, space, prior, budget_s, (), count, account)
    check_name(plan.name)
    networks = _networks(options, space)
    expected = np.asarray(model.predict_many(networks).ms)
    fit, held = _affordable(options, expected, budget_s, plan.effort)
    items = [_network(space, networks[i], "fit", expected[i]) for i in range(fit)]
    items += [_network(space, networks[-1 - i], "held-out", expected[-1 - i]) for i in range(held)]
    left = plan.effort.share_s(budget_s) - sum(plan.effort.item_s(item.expected_ms) for item in items)
    return dataclasses.replace(plan, items=(*_units(plan, table, left), *items))


def _check_device(device: str, target: Target, account: CycleAccount | None) -> None:
    """Raise UnsupportedError for a device that gives no times, or where none is wanted."""
    if account is not None:
        if device != "none":
            raise UnsupportedError(
                f"--device {device}: {target.name} is not timed",
                f"{account.name} tells the cycles of what it compiles",
                "leave out --device",
            )
        return
    emulated = DevicePlan(device).emulated
    if emulated or device == "none":
        raise UnsupportedError(
            f"cannot calibrate on --device {device}",
            "an emulator gives no times" if emulated else "there is nothing to measure on",
            "--device NAME of the real board (ofa-edge devices list), or local for this machine",
        )


def _resolve(options: CalibrationOptions) -> tuple[Target, Runtime, Precision]:
    target = load_target(options.target)
    precision = options.precision or target.defaults.precision
    runtime = require(target, options.runtime or target.runtime.kind, precision)
    if runtime.turns is None:
        able = [each.name for each in runtimes_for(target) if each.turns is not None]
        raise UnsupportedError(
            f"cannot calibrate {target.name} with {runtime.name}",
            "no program lets its models take turns on a device",
            f"--runtime {' or '.join(able)}" if able else "another target",
        )
    runtime.require_tools(target)
    extras.require("train", "calibration")
    threads = options.threads or target.runtime.threads
    if threads > target.hardware.cores:
        raise ConfigError(
            f"{threads} threads on {target.hardware.cores} cores",
            f"{target.path.name} gives hardware.cores = {target.hardware.cores}",
            "--threads with at most as many",
        )
    runs = changed(target.runtime, threads=threads)
    return changed(target, runtime=runs), runtime, precision


def _networks(options: CalibrationOptions, space: Space) -> NDArray[np.int8]:
    """Distinct random subnets: those to fit with from the front, those to hold out from the back."""
    wanted = options.networks + options.held_out
    drawn = space.sample(np.random.default_rng(options.seed), 4 * wanted)
    first = np.unique(drawn, axis=0, return_index=True)[1]
    return np.asarray(drawn[np.sort(first)[:wanted]])


def _network(space: Space, genome: NDArray[np.int8], role: str, ms: float) -> Item:
    subnet = space.subnet(genome)
    return Item(f"net-{subnet.id}", role, subnet, float(ms))


def _affordable(
    options: CalibrationOptions, expected: NDArray[np.float64], budget_s: float, effort: Effort
) -> tuple[int, int]:
    """How many subnets to fit with and to hold out: as many as asked for, fewer where the budget is short."""
    each = float(np.mean([effort.item_s(ms) for ms in expected]))
    smallest = min(_LEAST_NETWORKS, options.networks), min(_LEAST_NETWORKS, options.held_out)
    least = effort.sessions * (effort.run_s + sum(smallest) * each)
    if budget_s < least:
        raise ConfigError(
            f"a budget of {budget_s:.0f} s is too small for any plan",
            f"{sum(smallest)} subnets in {effort.sessions} sessions take about {least:.0f} s",
            f"--budget {int(least) + 1}s or more",
        )
    share = min(1.0, _NETWORK_SHARE * budget_s / effort.sessions / each / (options.networks + options.held_out))
    fit, held = (
        max(low, int(share * all_)) for low, all_ in zip(smallest, (options.networks, options.held_out), strict=True)
    )
    return fit, held


def _units(plan: CalibrationPlan, table: UnitTable, seconds: float) -> Sequence[Item]:
    units = Units(table.units, plan.prior)
    likely = units.terms.sum(axis=1)
    cost = np.array([plan.effort.item_s(ms + likely[-1]) for ms in likely])
    counts = table.counts(plan.space.sample(np.random.default_rng(plan.options.seed + 1), _DESIGN_NETWORKS))
    chosen = choose_units(units, counts, cost, seconds)
    return [Item(table.units[index].name, "unit", None, float(likely[index] + likely[-1])) for index in chosen]
