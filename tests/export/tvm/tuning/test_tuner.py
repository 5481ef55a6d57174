"""The sweep, on a made-up machine whose times and clock are known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from onnx_text import save_model

from ofa_edge.errors import DeviceRunError
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules import Knobs
from ofa_edge.export.tvm.tuning import tuner
from ofa_edge.export.tvm.tuning.budget import Budget
from ofa_edge.export.tvm.tuning.database import Database, place
from ofa_edge.export.tvm.tuning.functions import network_functions
from ofa_edge.export.tvm.tuning.knob_variants import Variant, variants
from ofa_edge.export.tvm.tuning.tuner import Bench, tune, weigh
from ofa_edge.export.tvm.tuning.turns import Turn

COMPILING_S, ROUND_S = 2.0, 0.1


@dataclass
class Machine:
    """Compiles nothing, and times variants by their knobs; each costs seconds of its own clock."""

    fast: dict = field(default_factory=dict)  # knob -> its fast value
    noise: float = 0.03
    broken: bool = False
    interrupt_after: int = 10**9
    now: float = 0.0
    calls: int = 0
    variants: dict[str, Variant] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def compile(self, variants: Sequence[Variant], target, out: Path) -> list[Turn | None]:
        self.now += COMPILING_S
        turns: list[Turn | None] = []
        for each in variants:
            name = f"turn{len(self.variants)}"
            self.variants[name] = each
            turns.append(Turn(out, name, ()))
        return [None, *turns[1:]] if self.broken else turns

    def time(self, turns: Sequence[Turn], rounds: int, limit_s: float) -> np.ndarray:
        self.calls += 1
        if self.calls > self.interrupt_after:
            raise KeyboardInterrupt
        rounds = min(rounds, int(limit_s / ROUND_S))
        self.now += rounds * ROUND_S
        truth = np.array([self.truth(self.variants[turn.symbol]) for turn in turns])
        return truth * self.random.lognormal(0, self.noise, (rounds, len(turns)))

    def truth(self, variant: Variant) -> float:
        hits = sum(getattr(variant.knobs, name) == value for name, value in self.fast.items())
        return 1000.0 * 0.7**hits


@pytest.fixture(scope="module")
def target():
    return tvm.make_target(tvm.host_target(), "llvm")


@pytest.fixture(scope="module")
def functions(tmp_path_factory, target):
    one, wide = "Conv <kernel_shape = [1, 1]>", "Conv <kernel_shape = [3, 3], group = 32, pads = [1, 1, 1, 1]>"
    body = f"a = {one} (input, u) b = Relu(a) c = {wide} (b, v) d = Relu(c) logits = {one} (d, w)"
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    save_model(path, body, (1, 16, 8, 8), u=(32, 16, 1, 1), v=(32, 1, 3, 3), w=(64, 32, 1, 1))
    found = network_functions(path, target, "fp32")
    assert [each.default.rule for each in found] == ["pointwise", "pointwise", "depthwise"]
    return found


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / "tuning.json")


def sweep(machine, functions, target, database, seconds=1000.0, **options):
    where = place("made up", target)
    budget = Budget(seconds, lambda: machine.now)
    result = tune(functions, Bench(target, machine, machine.compile), database, where, budget, **options)
    return result, database.functions(where)


def test_a_gain_is_found_and_kept(functions, target, database):
    result, known = sweep(Machine(fast={"unroll": 2}), functions, target, database)
    assert [each.key for each in result.tuned] == [each.key for each in functions]
    assert (result.known, result.left) == (0, 0)
    for function in functions:
        record = known[function.key]
        assert record.is_default == (function.default.rule == "depthwise")  # whose rule does not unroll channels
        assert record.tried > 2
        if not record.is_default:
            assert record.knobs.unroll == 2
            assert record.ratio == pytest.approx(0.7, abs=0.05)
            assert record.best_us == pytest.approx(0.7, abs=0.05)
            assert record.default_us == pytest.approx(1.0, abs=0.05)


def test_two_choices_are_found_one_after_the_other(functions, target, database):
    rows = variants(functions[0], target, Knobs(), 1)[0].knobs.rows
    _, known = sweep(Machine(fast={"unroll": 2, "rows": rows}), functions[:1], target, database)
    knobs = known[functions[0].key].knobs
    assert (knobs.unroll, knobs.rows) == (2, rows)


def test_where_nothing_is_faster_the_defaults_stay(functions, target, database):
    machine = Machine(noise=0.1)
    _, known = sweep(machine, functions, target, database)
    assert all(each.is_default and each.ratio == 1.0 for each in known.values())
    assert machine.calls > len(functions)  # noise did look like gains; the second look did not bear them out


def test_the_budget_is_kept_to_within_one_function(functions, target, database):
    machine = Machine(noise=0.0)
    result, known = sweep(machine, functions, target, database, seconds=8.0)
    assert 1 <= len(result.tuned) < len(functions)
    assert result.left == len(functions) - len(result.tuned)
    assert machine.now <= 8.0
    assert set(known) == {each.key for each in functions[: len(known)]}


def test_no_budget_does_nothing(functions, target, database):
    machine = Machine()
    result, known = sweep(machine, functions, target, database, seconds=0.0)
    assert (machine.calls, result.tuned, known, result.left) == (0, (), {}, 3)


def test_what_is_half_measured_is_not_kept(functions, target, database):
    result, known = sweep(Machine(), functions, target, database, seconds=COMPILING_S)
    assert (result.tuned, known) == ((), {})


def test_an_interruption_keeps_what_is_done_and_the_next_sweep_goes_on(functions, target, database):
    first = Machine(noise=0.0, interrupt_after=1)
    with pytest.raises(KeyboardInterrupt):
        sweep(first, functions, target, database)
    before = database.functions(place("made up", target))
    assert 1 <= len(before) < len(functions)
    result, known = sweep(Machine(), functions, target, database)
    assert result.known == len(before)
    assert len(known) == len(functions)
    assert {key: known[key] for key in before} == before


def test_known_functions_are_tuned_again_only_if_asked(functions, target, database):
    sweep(Machine(), functions, target, database)
    machine = Machine()
    result, _ = sweep(machine, functions, target, database)
    assert (machine.calls, result.known) == (0, 3)
    result, known = sweep(Machine(fast={"unroll": 2}), functions, target, database, again=True)
    assert len(result.tuned) == 3
    assert sum(not each.is_default for each in known.values()) == 2


def test_a_default_that_does_not_compile_is_passed_over(functions, target, database):
    result, known = sweep(Machine(broken=True), functions, target, database)
    assert (result.tuned, known, result.left) == ((), {}, 3)


def test_the_heaviest_by_time_comes_first(functions, target):
    class Slow:
        def time(self, turns, rounds, limit_s):
            assert [turn.symbol for turn in turns] == [each.name for each in functions]
            return np.tile([1.0, 2.0, 3.0], (rounds, 1))

    ordered = weigh(functions, Path("net.so"), Slow(), 9.0)
    assert [each.key for each in ordered] == [each.key for each in reversed(functions)]


def test_without_times_the_order_by_work_stays(functions):
    class Fails:
        def time(self, turns, rounds, limit_s):
            raise DeviceRunError("no function", "why", "hint")

    class NoTime:
        def time(self, turns, rounds, limit_s):
            return np.empty((0, len(turns)))

    for timer in (Fails(), NoTime()):
        assert weigh(functions, Path("net.so"), timer, 9.0) == tuple(functions)


def test_a_confirmation_needs_rounds_that_can_decide():
    assert 0.5**tuner.LEAST_CONFIRM < 0.01
