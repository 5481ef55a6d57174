"""The sweep: heaviest function first, a few schedules of each in turn, and a second look before one is believed."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.errors import DeviceRunError
from ofa_edge.export.tvm.schedules import Knobs, default_knobs, isa_of
from ofa_edge.export.tvm.tuning.acceptance import LEAST_GAIN, compare_copies
from ofa_edge.export.tvm.tuning.budget import Budget
from ofa_edge.export.tvm.tuning.database import Database, Place, TunedFunction, today
from ofa_edge.export.tvm.tuning.functions import NetworkFunction
from ofa_edge.export.tvm.tuning.knob_variants import Variant, made, variants
from ofa_edge.export.tvm.tuning.turns import Timer, Turn, arguments_of
from ofa_edge.export.tvm.tuning.variants import compile_variants

SCREEN_ROUNDS, CONFIRM_ROUNDS, WEIGH_ROUNDS = 7, 31, 5
_FIRST, _SECOND = 10, 5  # variants of a function's two sweeps
_COPIES = 3  # of both in the last look, each at addresses of its own
LEAST_CONFIRM = 10  # rounds of which a sign test says anything at acceptance.ALPHA

Compile = Callable[[Sequence[Variant], Any, Path], list[Turn | None]]
OnFunction = Callable[[TunedFunction], None]


@dataclass(frozen=True)
class Sweep:
    """What one run of the tuner did.

    Attributes:
        tuned: records that it made, in order.
        known: functions that the database knew before.
        left: functions that the budget did not reach.
        seconds: spent.
    """

    tuned: tuple[TunedFunction, ...]
    known: int
    left: int
    seconds: float


@dataclass(frozen=True)
class Bench:
    """Where variants are compiled and timed.

    Attributes:
        target: a `tvm.target.Target` of a CPU.
        timer: runs turns on the device.
        compile: variants to a library.
    """

    target: Any
    timer: Timer
    compile: Compile = compile_variants


def tune(
    functions: Sequence[NetworkFunction],
    bench: Bench,
    database: Database,
    where: Place,
    budget: Budget,
    *,
    again: bool = False,
    on_function: OnFunction = lambda record: None,
) -> Sweep:
    """Tune functions until all are done or the budget is spent; each result is in the database at once.

    A function is begun only if the longest so far would still fit, so that the budget is kept to within one function's
    excess. Whatever interrupts the sweep, Ctrl-C included, loses the function at hand only.

    Args:
        functions: the most important first.
        bench: where they are compiled and timed.
        database: what is known, and where results go.
        where: the place of the results.
        budget: running.
        again: tune those too that the database knows.
        on_function: told of each result.
    """
    known = set() if again else set(database.functions(where))
    todo = [each for each in functions if each.key not in known]
    done: list[TunedFunction] = []
    longest = 0.0
    for function in todo:
        left = budget.left()
        if left <= 0 or longest > left:
            break
        before = budget.spent()
        record = tune_function(function, bench, budget)
        longest = max(longest, budget.spent() - before)
        if record is None:
            continue
        database.put(where, record)
        done.append(record)
        on_function(record)
    return Sweep(tuple(done), len(functions) - len(todo), len(todo) - len(done), budget.spent())


def tune_function(function: NetworkFunction, bench: Bench, budget: Budget) -> TunedFunction | None:
    """Find the best knobs of one function; None where the budget ended before anything was known.

    Two sweeps of one choice each: around the defaults, then around the best of the first. The best of all is then
    timed against the default anew, because the best of many noisy figures looks better than it is.
    """
    default = best = made(function, bench.target, default_knobs(isa_of(bench.target)))
    seen = {default.digest}
    default_ns = 0.0
    with tempfile.TemporaryDirectory(prefix="ofa-tune-") as folder:
        for number, most in enumerate((_FIRST, _SECOND)):
            fresh = variants(function, bench.target, best.knobs, most, seen)
            seen |= {each.digest for each in fresh}
            medians = _medians([default, best, *fresh], bench, budget, Path(folder, f"sweep{number}.so"))
            if default.digest not in medians:
                return None
            default_ns = medians[default.digest]
            winner = min((best, *fresh), key=lambda each: medians.get(each.digest, math.inf))
            if medians.get(winner.digest, math.inf) > (1 - LEAST_GAIN) * medians[best.digest]:
                break
            best = winner
        if best is default:
            return _unchanged(function.key, default.knobs, default_ns, len(seen))
        return _confirmed(function.key, default, best, len(seen), bench, budget, Path(folder, "last.so"))


def _confirmed(
    key: str, default: Variant, best: Variant, tried: int, bench: Bench, budget: Budget, out: Path
) -> TunedFunction | None:
    """The record of the best of a sweep, as far as fresh rounds against the default bear it out."""
    turns = [turn for turn in bench.compile([default, best] * _COPIES, bench.target, out) if turn is not None]
    times = bench.timer.time(turns, CONFIRM_ROUNDS, budget.left())
    if len(turns) < 2 * _COPIES or len(times) < LEAST_CONFIRM:
        return None
    seen = compare_copies(times[:, 0::2], times[:, 1::2])
    default_ns, best_ns = (float(np.median(times[:, first::2])) for first in (0, 1))
    if not seen.faster():
        return _unchanged(key, default.knobs, default_ns, tried)
    return TunedFunction(key, best.knobs, default_ns / 1e3, best_ns / 1e3, seen.ratio, tried, False, today())


def _unchanged(key: str, knobs: Knobs, default_ns: float, tried: int) -> TunedFunction:
    return TunedFunction(key, knobs, default_ns / 1e3, default_ns / 1e3, 1.0, tried, True, today())


def weigh(
    functions: Sequence[NetworkFunction], untuned: Path, timer: Timer, limit_s: float
) -> tuple[NetworkFunction, ...]:
    """The functions by the time that they take in one inference of an untuned library, the heaviest first.

    Args:
        functions: of a network.
        untuned: its library with default knobs.
        timer: runs turns on the device.
        limit_s: after which the order by work, in which they come, has to do.
    """
    turns = [Turn(untuned, each.name, arguments_of(each.default.func)) for each in functions]
    try:
        times = timer.time(turns, WEIGH_ROUNDS, limit_s)
    except DeviceRunError:  # a function that did not compile has its default under another name
        return tuple(functions)
    if len(times) == 0:
        return tuple(functions)
    seconds = {each.key: each.calls * spent for each, spent in zip(functions, np.median(times, axis=0), strict=True)}
    return tuple(sorted(functions, key=lambda each: -seconds[each.key]))


def _medians(each: Sequence[Variant], bench: Bench, budget: Budget, out: Path) -> dict[str, float]:
    """Median nanoseconds of variants by digest, without those that do not compile; none where time ran out."""
    distinct = list({variant.digest: variant for variant in each}.values())
    turns = dict(zip((one.digest for one in distinct), bench.compile(distinct, bench.target, out), strict=True))
    present = {digest: turn for digest, turn in turns.items() if turn is not None}
    times = bench.timer.time(list(present.values()), SCREEN_ROUNDS, budget.left())
    if len(times) == 0:
        return {}
    return dict(zip(present, (float(median) for median in np.median(times, axis=0)), strict=True))
