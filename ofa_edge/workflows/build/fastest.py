"""`--runtime fastest`: one network by every runtime, measured in turn on the device; the fastest that is right is kept.

A round runs every artifact once, each in a process of its own, and every other round goes backwards, so that what
drifts through a session of measuring (heat, clocks, other work) meets all alike. Ratios are of the same rounds.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ofa_edge.device.access import connected, held, is_target
from ofa_edge.device.measuring.samples import bootstrap_interval
from ofa_edge.device.measuring.session import OpenArtifact, open_artifact
from ofa_edge.device.measuring.turns import check_timeable
from ofa_edge.device.protocol import Connection, LatencyPlan
from ofa_edge.errors import (
    ConversionError,
    DeviceBusyError,
    DeviceRunError,
    OtherModelError,
    UnsupportedError,
    UsageError,
)
from ofa_edge.metrics import holm
from ofa_edge.network import Network
from ofa_edge.records.race import ContenderRecord, RaceRecord, RatioRecord
from ofa_edge.runtimes import FASTEST, Artifact, Converted, is_own
from ofa_edge.verify.rank_tests import signed_rank_p
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.base import Plan
from ofa_edge.workflows.build.on_device import Trial, request_of
from ofa_edge.workflows.build.stages import StageRunner

ROUNDS = 8  # the signed-rank test of three comparisons reaches 5 % from 6 rounds on
LEAST = 6
SESSION = LatencyPlan(sessions=1, min_runs=50, min_seconds=0.5, warmup_limit_seconds=3.0)
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]  # one axis: the rounds


@dataclass(frozen=True)
class Made:
    """One contender's artifact: what its stage left, and what devices run."""

    converted: Converted
    artifact: Artifact


@dataclass(frozen=True)
class Race:
    """What was measured.

    Attributes:
        made: artifacts, the fastest first.
        record: for the manifest.
    """

    made: tuple[Made, ...]
    record: RaceRecord


def check_raceable(plan: Plan) -> None:
    """Raise, before any work, where the device cannot be reached, gives no times, or is not the target's hardware."""
    with connected(plan.device.name, plan.target, "measure runtimes") as connection:
        _require_target(plan, connection)


def race(runner: StageRunner, plan: Plan, network: Network) -> Race:
    """Convert for every contender and measure all in turn.

    Raises:
        UnsupportedError: see `check_raceable`; or fewer than two contenders took the network and ran.
        DeviceError: the device was lost, or was too busy for a comparison.
    """
    contenders = plan.export.contenders
    assert contenders is not None
    left_out, made = dict(contenders.left_out), dict[str, Made]()
    for runtime in contenders.runtimes:
        own = with_runtime(plan, runtime.name)
        try:
            converted, artifact = stages.to_artifact(runner, own, stages.export_of(own, network))
        except (ConversionError, UsageError) as error:
            left_out[runtime.name] = f"{error.what}: {error.why}"
        except Exception as error:  # whatever a stranger's runtime raises
            if is_own(runtime):
                raise
            left_out[runtime.name] = f"{type(error).__name__}: {error}"
        else:
            made[runtime.name] = Made(converted, artifact)
    (times, device), _ = runner.timed("runtimes in turn", lambda: _measure(plan, network, made, left_out))
    record = _record(plan, device, made, times, left_out)
    return Race(tuple(made[each.runtime] for each in record.contenders), record)


def with_runtime(plan: Plan, name: str) -> Plan:
    """The plan for one of its contenders; the search, and what it was searched with, stay."""
    assert plan.export.contenders is not None
    runtime = next(each for each in plan.export.contenders.runtimes if each.name == name)
    return replace(plan, export=replace(plan.export, runtime=runtime))


def _require_target(plan: Plan, connection: Connection) -> None:
    fingerprint = check_timeable(connection, plan.target.hardware.arch, "compare runtimes")
    if not is_target(plan.target, fingerprint, connection):
        raise UnsupportedError(
            f"--runtime {FASTEST}: {connection.name} is not a {plan.target.name}",
            f"it says {fingerprint.model or 'no model'}, {fingerprint.cpu}: which runtime is fastest there says "
            "nothing of the target",
            "--device NAME of the target's own board, or --target of this one",
        )


def _measure(
    plan: Plan, network: Network, made: Mapping[str, Made], left_out: dict[str, str]
) -> tuple[dict[str, Floats], str]:
    """Medians of sessions in milliseconds [rounds] of each that runs there, and the device's name."""
    image = plan.data.test.sample(1)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connected(plan.device.name, plan.target, "measure runtimes"))
        _require_target(plan, connection)
        conditions = stack.enter_context(held(connection, plan.target))
        opened = dict[str, OpenArtifact]()
        for name, each in made.items():
            trial = Trial(each.artifact, network, plan.target, image)
            try:
                request = request_of(trial, connection, latency=SESSION)
                opened[name] = stack.enter_context(open_artifact(connection, request, conditions))
                opened[name].session(SESSION)  # whether it runs at all; what the first use costs is in no round
            except OtherModelError:  # says nothing about this runtime
                raise
            except (UsageError, DeviceRunError) as error:
                opened.pop(name, None)
                left_out[name] = f"{error.what}: {error.why}"
        if len(opened) < 2:
            raise UnsupportedError(
                f"--runtime {FASTEST}: nothing to compare on {connection.name}",
                "; ".join(f"{name}: {reason}" for name, reason in left_out.items()),
                f"--runtime {next(iter(opened))}" if opened else "ofa-edge doctor",
            )
        return measure_in_rounds(
            {name: functools.partial(each.median_ms, SESSION) for name, each in opened.items()}
        ), connection.name


def measure_in_rounds(once: Mapping[str, Callable[[], float]]) -> dict[str, Floats]:
    """Every artifact once a round, forwards and backwards in turn.

    Args:
        once: runs one session of an artifact; its median in milliseconds, NaN where it does not count.

    Returns:
        Medians [rounds] by name, of the rounds in which all sessions count.

    Raises:
        DeviceBusyError: there are fewer than `LEAST` such rounds.
    """
    times = {name: np.full(ROUNDS, math.nan) for name in once}
    for number in range(ROUNDS):
        for name in list(once)[:: -1 if number % 2 else 1]:
            times[name][number] = once[name]()
    whole = ~np.isnan(np.stack(list(times.values()))).any(axis=0)
    if whole.sum() < LEAST:
        raise DeviceBusyError(
            "the runtimes could not be compared",
            f"in {ROUNDS - whole.sum()} of {ROUNDS} rounds the device was slowed down",
            "cool it, stop what else runs there, and build again",
        )
    return {name: values[whole] for name, values in times.items()}


def _record(
    plan: Plan, device: str, made: Mapping[str, Made], times: Mapping[str, Floats], left_out: Mapping[str, str]
) -> RaceRecord:
    order = sorted(times, key=lambda name: float(np.median(times[name])))
    fastest = times[order[0]]
    logs = {name: np.log(times[name] / fastest) for name in order[1:]}
    adjusted = holm(np.array([signed_rank_p(values) for values in logs.values()]))
    beside = {name: _ratio(values, p) for (name, values), p in zip(logs.items(), adjusted.tolist(), strict=True)}
    return RaceRecord(
        device=device,
        rounds=ROUNDS,
        searched_for=plan.searched_for,
        contenders=tuple(_contender(name, made[name], times[name], beside.get(name)) for name in order),
        left_out=dict(left_out),
    )


def _ratio(logs: Floats, p: float) -> RatioRecord:
    low, high = bootstrap_interval(logs)
    return RatioRecord(ratio=math.exp(float(np.median(logs))), low95=math.exp(low), high95=math.exp(high), p=p)


def _contender(name: str, made: Made, times: Floats, beside: RatioRecord | None) -> ContenderRecord:
    low, high = bootstrap_interval(times)
    return ContenderRecord(
        runtime=name,
        size=made.artifact.path.stat().st_size,
        p50_ms=float(np.median(times)),
        low95=low,
        high95=high,
        rounds=len(times),
        beside=beside,
    )
