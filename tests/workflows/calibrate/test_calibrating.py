"""MeasuredModel against a simulated device: its program answers from a known truth, its connection can break."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.lease import hold
from ofa_edge.device.measuring.turns import check_timeable
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.errors import (
    ConfigError,
    DeviceBusyError,
    DeviceError,
    DeviceLostError,
    DeviceRebootedError,
    OfaEdgeError,
    OutputError,
    ThrottledError,
    UnsupportedError,
)
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.units import UnitTable
from ofa_edge.output import reserved
from ofa_edge.runtimes.tflite import TFLiteTurns
from ofa_edge.space import Space
from ofa_edge.targets import load_target
from ofa_edge.workflows.calibrate import measure as calibrating
from ofa_edge.workflows.calibrate.guards import Guard, judged_by, same_boot
from ofa_edge.workflows.calibrate.journal import Journal, sampled, slowed
from ofa_edge.workflows.calibrate.measure import Measuring
from ofa_edge.workflows.calibrate.plan import SESSIONS, CalibrationOptions, CalibrationPlan, make_calibration_plan
from ofa_edge.workflows.calibrate.result import MeasuredModel, conclude
from ofa_edge.workflows.calibrate.unit_models import pieces

PRINT = Fingerprint("physical", "a simulation", "x86_64", "a core", "a board", "an OS", "6.1", "boot-1", 4)


class Board:
    """A connection of which only the fingerprint is asked."""

    name, kind = "board", "ssh"

    def __init__(self) -> None:
        self.boots = 1

    def fingerprint(self) -> Fingerprint:
        return dataclasses.replace(PRINT, boot_id=f"boot-{self.boots}")


class Simulated:
    """A program of turns over a known truth; `trouble` maps a run's number to what happens in it."""

    def __init__(self, plan: CalibrationPlan, board: Board, trouble: Mapping[int, object] | None = None) -> None:
        self.plan, self.board, self.trouble = plan, board, dict(trouble or {})
        self.facts = {"version": "9", "runtime_digest": "ab" * 32}
        self.calls = 0
        rng = np.random.default_rng(4)
        table = UnitTable(plan.space)
        likely = plan.prior.ms
        from ofa_edge.latency.posterior import Units

        moved = Units(table.units, dataclasses.replace(plan.prior, ms=1.6 * likely)).terms.sum(axis=1)
        moved[:-1] *= np.exp(0.05 * rng.standard_normal(len(moved) - 1))
        self.truth = {
            item.name: float(moved[table.by_name[item.name]] + moved[-1])
            if item.subnet is None
            else float((table.counts(plan.space.genome([item.subnet])) @ moved)[0])
            for item in plan.items
        }
        self.names = [item.name for item in plan.items]
        self.rng = rng

    def send(self, libraries: Mapping[str, Path]) -> None:
        pass

    def place(self, name: str) -> str:
        return name

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        self.calls += 1
        trouble = self.trouble.get(self.calls, 1.0)
        if isinstance(trouble, BaseException):
            raise trouble
        if trouble == "reboot":
            self.board.boots += 1
        ms = np.array([self.truth[self.names[int(Path(line).stem)]] for line in lines])
        factor = trouble if isinstance(trouble, float) else 1.0
        return np.asarray(1e6 * factor * ms * np.exp(0.005 * self.rng.standard_normal((rounds, len(ms)))))


@pytest.fixture(scope="module")
def planned() -> CalibrationPlan:
    return make_calibration_plan(CalibrationOptions("host", "board", "35s", networks=12, held_out=12))


@pytest.fixture
def plan(planned: CalibrationPlan, tmp_path: Path) -> CalibrationPlan:
    return dataclasses.replace(planned, options=dataclasses.replace(planned.options, out=tmp_path))


def measured(
    plan: CalibrationPlan, trouble: Mapping[int, object] | None = None, guard: Guard = same_boot
) -> tuple[Simulated, Journal]:
    board = Board()
    program = Simulated(plan, board, trouble)
    journal = Journal(plan.options.out / "samples.jsonl", plan.facts())
    models = {item.name: Path(f"{item.name}.tflite") for item in plan.items}
    connection: Connection = board
    Measuring(plan, connection, program, models, journal, guard, lambda words: None).run()
    return program, journal


def concluded(plan: CalibrationPlan, journal: Journal) -> MeasuredModel:
    return conclude(plan, journal, PRINT, ["ofa-edge", "calibrate"], 1.0)


def test_a_calibration_finds_the_device_and_writes_a_target(plan: CalibrationPlan) -> None:
    _, journal = measured(plan)
    result = concluded(plan, journal)
    assert result.checks.mape < 0.04
    assert result.within10 == 1.0
    assert result.dropped == ()
    target = load_target(str(result.target))
    assert target.runtime.threads == 1
    model = load_latency_model(target, plan.space, "tflite", "fp32")
    assert model.kind == "fitted"
    assert model.key.device == "a board / a core / x86_64"
    assert model.key.os_build == "an OS, kernel 6.1"
    assert model.key.runtime_digest == "ab" * 32
    assert model.provenance.kind == "measured"
    assert model.provenance.cross_validation[0].networks == 12
    report = json.loads((plan.options.out / f"{plan.name}.calibration.json").read_text())
    assert len(report["held_out"]) == 12
    assert report["checks"]["mape"] == pytest.approx(result.checks.mape)
    fitted = {json.dumps(each["subnet"]) for each in report["fitted"]}
    assert not fitted & {json.dumps(each["subnet"]) for each in report["held_out"]}


def test_an_interrupted_calibration_goes_on_where_it_stopped(plan: CalibrationPlan) -> None:
    whole, _ = measured(
        dataclasses.replace(plan, options=dataclasses.replace(plan.options, out=plan.options.out / "b"))
    )
    with pytest.raises(KeyboardInterrupt):
        measured(plan, {3: KeyboardInterrupt()})
    path = plan.options.out / "samples.jsonl"
    path.write_bytes(path.read_bytes() + b'{"session": 1, "chu')  # cut short by a crash
    program, journal = measured(plan)
    assert program.calls == whole.calls - 2
    assert len({(run.session, run.chunk) for run in journal.runs}) == len(journal.runs) == whole.calls
    lines = path.read_bytes().split(b"\n")
    assert all(json.loads(line) for line in lines[:-1])
    assert concluded(plan, journal).within10 == 1.0


LINES = {
    "a byte": lambda line: b"\0" + line[1:],
    "an end": lambda line: line[:40],
    "a column": lambda line: re.sub(rb"\[\d+,", b"[", line, count=1),
    "a key": lambda line: line.replace(b'"rounds"', b'"round"'),
    "no time": lambda line: re.sub(rb"\[\d+,", b"[0,", line, count=1),
    "endless": lambda line: re.sub(rb"\[\d+,", b"[1e400,", line, count=1),
    "digits": lambda line: re.sub(rb"\[\d+,", b"[" + b"9" * 5000 + b",", line, count=1),
    "no object": lambda line: b"[]",
}


@pytest.mark.parametrize("damage", LINES)
def test_a_damaged_line_in_the_middle_costs_its_own_run_alone(plan: CalibrationPlan, damage: str) -> None:
    whole, _ = measured(plan)
    path = plan.options.out / "samples.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = LINES[damage](lines[2])
    path.write_bytes(b"\n".join(lines))
    damaged = Journal(path, plan.facts())
    assert (damaged.damaged, len(damaged.runs)) == ((3,), whole.calls - 1)
    assert path.with_name("samples.jsonl.damaged").read_bytes() == b"\n".join(lines)
    program, journal = measured(plan)
    assert (program.calls, len(journal.runs)) == (1, whole.calls)
    assert concluded(plan, journal).within10 == 1.0


def test_samples_of_a_plan_that_cannot_be_read_are_laid_aside(plan: CalibrationPlan) -> None:
    path = plan.options.out / "samples.jsonl"
    path.write_bytes(b"\0\0\nmany hours\n")
    assert Journal(path, plan.facts()).runs == []
    assert path.with_name("samples.jsonl.old").read_bytes() == b"\0\0\nmany hours\n"


def test_samples_of_another_plan_are_not_joined(plan: CalibrationPlan) -> None:
    measured(plan)
    other = Journal(plan.options.out / "samples.jsonl", {**plan.facts(), "seed": 1})
    assert other.runs == []


def test_samples_of_another_plan_are_laid_aside(plan: CalibrationPlan) -> None:
    measured(plan)
    path = plan.options.out / "samples.jsonl"
    before = path.read_bytes()
    Journal(path, {**plan.facts(), "seed": 1})
    assert path.with_name("samples.jsonl.old").read_bytes() == before


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (DeviceLostError("board was lost", "no route", "plug it in"), "DeviceLostError: board was lost"),
        (ThrottledError("board is hot", "85 degrees", "cool it"), "ThrottledError: board is hot"),
        ("reboot", "DeviceRebootedError: board restarted"),
        (1.5, "everything in it was slower"),
    ],
)
def test_what_goes_wrong_is_dropped_and_the_rest_is_kept(plan: CalibrationPlan, trouble: object, words: str) -> None:
    program, journal = measured(plan, {4: trouble})
    result = concluded(plan, journal)
    assert len(result.dropped) == 1
    assert words in result.dropped[0]
    assert program.calls == len(journal.runs)
    assert result.checks.mape < 0.04
    assert (trouble == 1.5) == bool(slowed(journal.runs))


def test_a_guard_may_refuse_a_run(plan: CalibrationPlan) -> None:
    seen = []

    @contextlib.contextmanager
    def guard(connection: Connection) -> Iterator[None]:
        seen.append(connection.name)
        yield
        if len(seen) == 2:
            raise DeviceRebootedError("board restarted", "twice", "again")

    _, journal = measured(plan, guard=guard)
    assert [bool(run.dropped) for run in journal.runs].count(True) == 1


class Hot:
    """Conditions in which the third run is too hot to begin, and the fifth was slowed down."""

    def __init__(self) -> None:
        self.asked, self.judged = 0, 0

    facts: Mapping[str, str] = {}

    def before(self) -> None:
        self.asked += 1
        if self.asked == 3:
            raise DeviceBusyError("board cannot be measured now", "81.0 C", "cool it", reason="too-hot")

    def after(self) -> str | None:
        self.judged += 1
        return "throttled" if self.judged == 4 else None


def test_a_run_on_a_hot_device_is_dropped(plan: CalibrationPlan) -> None:
    program, journal = measured(plan, guard=judged_by(Hot()))
    dropped = {number: run.dropped for number, run in enumerate(journal.runs, 1) if run.dropped}
    assert list(dropped) == [3, 5]
    assert "cannot be measured now" in dropped[3]
    assert "throttled" in dropped[5]
    assert program.calls == len(journal.runs) - 1  # nothing runs on a device that is not fit
    assert journal.runs[2].seconds == 0.0  # waiting costs no budget


def test_the_device_is_leased_before_anything_is_measured(
    plan: CalibrationPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(calibrating, "export_items", lambda *_: pytest.fail("work was done"))
    monkeypatch.setattr(TFLiteTurns, "open", lambda *_: pytest.fail("it was measured"))
    local = dataclasses.replace(plan, options=dataclasses.replace(plan.options, device="local"))
    samples = tmp_path / f"{plan.name}.samples.jsonl"
    samples.write_text("those of the one that is at work")

    def second() -> None:
        calibrating.calibrate(local, StageCache(tmp_path / "cache"), ["ofa-edge"], lambda words: None)

    with hold(LocalConnection()), pytest.raises(DeviceBusyError) as caught:
        second()
    assert caught.value.reason == "leased"
    with reserved(tmp_path / plan.name), pytest.raises(OutputError, match="in use"):
        second()
    assert samples.read_text() == "those of the one that is at work"


def test_a_device_that_does_not_come_back_ends_the_measuring(plan: CalibrationPlan) -> None:
    lost = DeviceLostError("board was lost", "no route", "plug it in")
    program, journal = measured(plan, dict.fromkeys(range(3, 99), lost))
    assert program.calls == 5
    assert concluded(plan, journal).checks.networks <= 12
    again, journal = measured(plan)  # and is gone on with
    assert {run.session for run in journal.runs if not run.dropped} == set(range(SESSIONS))
    assert again.calls == len(journal.runs) - 5
    assert sampled(journal.runs)


def test_nothing_measured_is_an_error_that_says_so(plan: CalibrationPlan) -> None:
    lost = DeviceLostError("board was lost", "no route", "plug it in")
    _, journal = measured(plan, dict.fromkeys(range(1, 99), lost))
    with pytest.raises(DeviceError, match="too little was measured"):
        concluded(plan, journal)


def test_the_plan_says_what_it_will_do(plan: CalibrationPlan) -> None:
    words = plan.describe()
    assert f"{len(plan.role('unit'))} of the {plan.units} units" in words
    assert "12 random subnets to fit with, 12 more held out" in words
    names = [item.name for item in plan.items]
    assert len(names) == len(set(names))
    assert SESSIONS * sum(item.seconds for item in plan.items) <= plan.budget_s


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": "3s"}, "too small for any plan"),
        ({"budget": "5 minutes"}, "bad budget"),
        ({"budget": "0"}, "too small"),
        ({"device": "emulated"}, "an emulator gives no times"),
        ({"device": "emulated-ssh"}, "an emulator gives no times"),
        ({"device": "none"}, "nothing to measure on"),
        ({"threads": 999}, "999 threads"),
        ({"name": "No Name"}, "not a target name"),
        ({"runtime": "tvm", "precision": "int8"}, "precision int8 on host with tvm"),
        ({"target": "no-such-board"}, "unknown target"),
        ({"target": "jetson-nano"}, "calibrate jetson-nano with tvm-cuda"),
    ],
)
def test_bad_input_is_refused_before_any_work(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    options = dataclasses.replace(CalibrationOptions("host", "local", out=tmp_path / "out"), **changes)
    with pytest.raises(OfaEdgeError) as error:
        make_calibration_plan(options)
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_budget_that_is_too_small_says_the_least_and_that_will_do(tmp_path: Path) -> None:
    options = CalibrationOptions("host", "local", "3s", out=tmp_path)
    with pytest.raises(ConfigError) as error:
        make_calibration_plan(options)
    least = error.value.hint.split()[1]
    assert len(make_calibration_plan(dataclasses.replace(options, budget=least)).role("fit")) >= 6


def test_an_emulated_device_is_refused_by_what_it_says_of_itself() -> None:
    board = Board()
    board.fingerprint = lambda: dataclasses.replace(PRINT, device_kind="emulated")
    with pytest.raises(UnsupportedError, match="cannot calibrate on board"):
        check_timeable(board, "x86_64", "calibrate")


@pytest.mark.parametrize("family", ["ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet"])
def test_every_unit_of_a_space_can_be_cut_out_of_some_subnet(family: str) -> None:
    space = Space.of(family, family, resolutions=(128, 160))
    table = UnitTable(space)
    assert set(pieces(space, table)) == {unit.name for unit in table.units} - {"call"}


def test_a_local_connection_passes_the_boot_guard() -> None:
    with same_boot(LocalConnection()):
        pass
