"""What moved between two builds, as far as their manifests tell: figures, blocks, gates and where they were made."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ofa_edge.metrics import wilson95
from ofa_edge.records.build import artifact_of
from ofa_edge.records.manifest import Manifest, Rung
from ofa_edge.report.aligned import OperatorChange

Range = tuple[float, float]
NOT_THE_TARGET = "not-the-target"  # the code of a latency gate whose device was another


@dataclass(frozen=True)
class Value:
    """A number with its interval, where it has one."""

    value: float
    interval: Range | None = None


@dataclass(frozen=True)
class Figure:
    """One quantity of both builds; None where a build does not have it.

    Attributes:
        name: what it is.
        unit: "bytes", "ms", "share" (0..1) or "count".
        before, after: of the two builds.
        label: whose word it is: "measured on my-pi, 95 % over sessions".
        change: the interval of the difference, where one is known.
    """

    name: str
    unit: str
    before: Value | None
    after: Value | None
    label: str = ""
    change: Range | None = None


@dataclass(frozen=True)
class Row:
    """Something said in words by both builds, and otherwise."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class OperatorTime:
    """What one operator, or function, took in the profiles of both; None where a profile does not have it."""

    name: str
    before_ms: float | None
    after_ms: float | None


@dataclass(frozen=True)
class Difference:
    """What moved from one build to the other.

    Attributes:
        before, after: the builds, as they were named.
        network: what the networks are; empty where they are the same.
        figures: size, latency, accuracy and so on, also where nothing moved.
        operators: of both networks, in order.
        times: where both have a profile; `parts`: as the latency models predict it, where both do for one target.
        gates, environment: only what differs.
    """

    before: str
    after: str
    network: tuple[Row, ...]
    figures: tuple[Figure, ...]
    operators: tuple[OperatorChange, ...]
    times: tuple[OperatorTime, ...]
    parts: tuple[OperatorTime, ...]
    gates: tuple[Row, ...]
    environment: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def network_rows(before: Manifest, after: Manifest) -> tuple[Row, ...]:
    """The subnets block by block, or what the networks were made from."""
    rows = [Row("network", before.network_id, after.network_id)]
    first, second = before.subnet, after.subnet
    if first is None or second is None:
        return _differing([*rows, Row("from", before.network.source, after.network.source)])
    rows.append(Row("input, pixels", str(first.resolution), str(second.resolution)))
    for number, (one, other) in enumerate(itertools.zip_longest(first.stages, second.stages, fillvalue=()), 1):
        rows.append(Row(f"stage {number}", _stage(one), _stage(other)))
    return _differing(rows)


def _stage(blocks: Sequence[tuple[int, int | float]]) -> str:
    return ", ".join(f"{kernel}x{kernel} e{expand:g}" for kernel, expand in blocks) or "none"


def figures(before: Manifest, after: Manifest) -> tuple[Figure, ...]:
    """Everything that is counted, measured or predicted, each with whose word it is."""

    def of_both(name: str, unit: str, value: Callable[[Manifest], Value | None], label: str = "") -> Figure:
        return Figure(name, unit, value(before), value(after), label)

    found = [
        of_both("artifact", "bytes", lambda each: Value(artifact_of(each).size)),
        of_both("MACs", "count", lambda each: Value(each.network.macs) if each.network.macs else None),
        of_both("parameters", "count", lambda each: Value(each.network.params)),
    ]
    for metric in _told(before, after, lambda each: [rung.metric for rung in _rungs(each)]):
        label = "measured" + (", 95 % by Wilson" if metric == "top-1" else "")
        item = of_both(metric, "share", partial(_accuracy, metric=metric), label)
        found.append(replace(item, change=_change(item.before, item.after)))
    for device in _told(before, after, _measured):
        label = f"measured on {device}, 95 % over sessions"
        found.append(of_both("latency", "ms", partial(_latency, device=device), label))
    kinds = _told(before, after, lambda each: [each.prediction.provenance] if each.prediction else [])
    if kinds:
        found.append(of_both("latency", "ms", _prediction, f"predicted, {' and '.join(kinds)}, 90 %; not measured"))
    counted = of_both("instructions", "count", _instructions, "counted by an emulator, one thread; not a time")
    if counted.before or counted.after:
        found.append(counted)
    for model in _told(before, after, _cycles):  # those of two models are not held against each other
        found.append(of_both("modelled cycles", "count", partial(_cycles_by, model=model), f"{model}; not a time"))
    return tuple(found)


def _told(before: Manifest, after: Manifest, names: Callable[[Manifest], Iterable[str]]) -> list[str]:
    return list(dict.fromkeys([*names(before), *names(after)]))


def _rungs(manifest: Manifest) -> list[Rung]:
    """The last rung that has an accuracy, if any."""
    return [rung for rung in manifest.ladder if rung.accuracy is not None][-1:]


def _accuracy(manifest: Manifest, metric: str) -> Value | None:
    for rung in _rungs(manifest):
        if rung.metric == metric and rung.accuracy is not None:
            interval = wilson95(rung.accuracy * rung.images, rung.images) if metric == "top-1" else None
            return Value(rung.accuracy, interval)
    return None


def _change(before: Value | None, after: Value | None) -> Range | None:
    """Newcombe's interval of a difference of two shares. Which images are right is not known: it is not paired."""
    if before is None or after is None or before.interval is None or after.interval is None:
        return None
    change = after.value - before.value
    down = math.hypot(after.value - after.interval[0], before.interval[1] - before.value)
    up = math.hypot(after.interval[1] - after.value, before.value - before.interval[0])
    return change - down, change + up


def _measured(manifest: Manifest) -> dict[str, Value]:
    """Measured latencies by device; one on what is not the target has another name, and no other is held against it."""
    other = any(verdict.code == NOT_THE_TARGET for verdict in manifest.verdicts)
    note = " (not the target's hardware)" if other else ""
    return {
        f"{each.name}{note}": Value(each.latency_ms.p50, (each.latency_ms.low95, each.latency_ms.high95))
        for each in manifest.measurements
        if each.latency_ms is not None
    }


def _latency(manifest: Manifest, device: str) -> Value | None:
    return _measured(manifest).get(device)


def _prediction(manifest: Manifest) -> Value | None:
    found = manifest.prediction
    return None if found is None else Value(found.ms, (found.low90, found.high90))


def _instructions(manifest: Manifest) -> Value | None:
    counts = [each.instructions_per_inference for each in manifest.measurements]
    return next((Value(count) for count in counts if count), None)


def _cycles(manifest: Manifest) -> dict[str, Value]:
    """Modelled cycles by the model that gave them."""
    found = [each.modelled_cycles for each in manifest.measurements]
    return {each.model: Value(each.per_inference) for each in found if each is not None}


def _cycles_by(manifest: Manifest, model: str) -> Value | None:
    return _cycles(manifest).get(model)


def predicted_parts(before: Manifest, after: Manifest) -> tuple[OperatorTime, ...]:
    """What the latency models give each part, where both builds are for one target."""
    first, second = before.prediction, after.prediction
    if first is None or second is None or before.target.name != after.target.name:
        return ()
    return times({part.name: part.ms for part in first.parts}, {part.name: part.ms for part in second.parts})


def times(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[OperatorTime, ...]:
    """Milliseconds by name side by side, in the order of the first, then of the second."""
    return tuple(OperatorTime(name, before.get(name), after.get(name)) for name in {**before, **after})


def gate_rows(before: Manifest, after: Manifest) -> tuple[Row, ...]:
    """Gates with another outcome, or reason."""
    return _by_name(_gates(before), _gates(after))


def _gates(manifest: Manifest) -> dict[str, str]:
    return {item.gate: f"{item.outcome}: {item.reason}" for item in manifest.verdicts}


def environment_rows(before: Manifest, after: Manifest) -> tuple[Row, ...]:
    """What was built for what, by which versions, from which files."""
    return _by_name(_environment(before), _environment(after))


def _environment(manifest: Manifest) -> dict[str, str]:
    target = manifest.target
    return {
        "ofa-edge": manifest.version,
        "command": " ".join(manifest.command),
        "seed": str(manifest.seed),
        "labels": ", ".join(manifest.labels) or "none",
        "budget, ms": str(manifest.budget_ms),
        **{f"target {each}": str(getattr(target, each)) for each in ("name", "runtime", "precision", "threads", "cpu")},
        **{f"version of {name}": version for name, version in manifest.versions.items()},
        **{f"input {record.path}": record.sha256[:12] for record in manifest.inputs},
    }


def _by_name(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Row, ...]:
    return _differing([Row(name, before.get(name, "none"), after.get(name, "none")) for name in {**before, **after}])


def _differing(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.before != row.after)
