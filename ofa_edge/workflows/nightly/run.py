"""A night: the fleet's devices one after the other, none stopping the next, then one record in the history."""

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ofa_edge import __version__
from ofa_edge.builds import Build
from ofa_edge.device.protocol import DeviceKind
from ofa_edge.device.registry.devices_file import BUILTIN, load_devices
from ofa_edge.errors import ConfigError, OfaEdgeError, UnknownNameError
from ofa_edge.records.manifest import read_manifest
from ofa_edge.records.night import BaselineRecord, DeviceNight, NightRecord, SeriesRecord
from ofa_edge.schema import changed
from ofa_edge.shown import pasteable
from ofa_edge.verify.night import Decision
from ofa_edge.verify.regression import Colour, Past, Rules
from ofa_edge.workflows.nightly.bench import BenchMaker, Duel, make_duel, open_bench
from ofa_edge.workflows.nightly.device_night import DeviceJob, failed
from ofa_edge.workflows.nightly.fleet import DeviceEntry, DeviceFleet
from ofa_edge.workflows.nightly.history import DamagedHistoryError, History, append, read_history
from ofa_edge.workflows.nightly.past_nights import past_of
from ofa_edge.workflows.nightly.privacy import Pseudonyms
from ofa_edge.workflows.nightly.store import Store

Say = Callable[[str], None]
DuelMaker = Callable[..., Duel]


@dataclass(frozen=True)
class Hardware:
    """What a night touches of the world; tests put something else in its place."""

    open_bench: BenchMaker = open_bench
    make_duel: DuelMaker = make_duel
    sleep: Callable[[float], None] = time.sleep
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)


def run_fleet(fleet: DeviceFleet, say: Say = lambda _: None, hardware: Hardware | None = None) -> NightRecord:
    """Run every device and append the night to the history.

    Args:
        fleet: what runs where.
        say: told, a line at a time, what happens.
        hardware: the way to the devices.

    Raises:
        ConfigError: a device that nobody knows, or a history that cannot be read; nothing has been run.
        OutputError: the history cannot be written.
    """
    hardware = hardware or Hardware()
    check_devices(fleet)
    history = read_history(fleet.history)
    at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    devices: list[DeviceNight] = []
    series: list[SeriesRecord] = []
    for name, entry in fleet.file.devices.items():
        say(f"{name}: {', '.join(artifacts_of(fleet, entry)) or 'no artifact for it'}")
        device, found = _device(fleet, name, entry, history, hardware)
        devices.append(device)
        series += found
        if device.error:
            say(f"{name}: {device.error}")
    night = NightRecord(at=at, version=__version__, fleet=fleet.name, devices=tuple(devices), series=tuple(series))
    append(fleet.history, night)
    return night


def accept(fleet: DeviceFleet, artifact: str, note: str = "") -> BaselineRecord:
    """Make tonight's candidate the golden of an artifact: the only way a baseline moves.

    Raises:
        UnknownNameError: the fleet has no such artifact.
        ConfigError: there is no whole build in its folder.
    """
    if artifact not in fleet.file.artifacts:
        raise UnknownNameError.of("artifact", artifact, fleet.file.artifacts, f"add [artifacts.{artifact}]")
    kept = Store(fleet.store).keep(Build.open(fleet.build_folder(artifact)))
    at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    record = BaselineRecord(at=at, artifact=artifact, sha256=kept.file.sha256, size=kept.file.size, note=note)
    append(fleet.history, record)
    return record


def check_devices(fleet: DeviceFleet) -> None:
    """Raise ConfigError, before any work, for a device that nobody knows."""
    own = load_devices()
    for name, entry in fleet.file.devices.items():
        device = entry.device or name
        if device == "none" or (device not in BUILTIN and device not in own):
            known = ", ".join([*(item for item in BUILTIN if item != "none"), *own])
            raise ConfigError(
                f"no device '{device}'",
                f"{fleet.path}: devices.{name}; known: {known}",
                "ofa-edge devices add, or list",
            )


def artifacts_of(fleet: DeviceFleet, entry: DeviceEntry) -> tuple[str, ...]:
    """The artifacts that a device runs: those it names, or those built for its targets."""
    if entry.artifacts:
        return entry.artifacts
    found = []
    for name in fleet.file.artifacts:
        try:
            target = read_manifest(fleet.build_folder(name)).target.name
        except OfaEdgeError:
            found.append(name)  # a build that is missing must be seen, not passed over
            continue
        if target in entry.targets:
            found.append(name)
    return tuple(found)


def _device(
    fleet: DeviceFleet, name: str, entry: DeviceEntry, history: History, hardware: Hardware
) -> tuple[DeviceNight, list[SeriesRecord]]:
    """One device, whatever happens to it."""
    start, rules = time.monotonic(), Rules(pairs=fleet.file.protocol.pairs)
    job = DeviceJob(name, (), {}, fleet.file.protocol, start + 60 * entry.deadline_minutes, rules, hardware.sleep)
    facts: Mapping[str, object] = {}
    levels: Mapping[str, str] = {}
    kind: DeviceKind | None = None
    error: str | None = None
    try:
        duels = _duels(fleet, name, entry, history, hardware, job)
        if duels:
            job.duels = duels
            job.pasts = {duel.name: _past(history, name, duel, rules) for duel in duels}
            with hardware.open_bench(entry.device or name, duels, 60 * entry.deadline_minutes) as bench:
                facts, kind = bench.facts, "emulated" if bench.emulated else "physical"
                try:
                    job.run(bench)
                finally:
                    levels = bench.conditions
    except Exception as failure:  # the next device must have its turn
        decision = failed(failure)
        error = decision.reason
        judged = {item.artifact for item in job.series if item.gate == "latency"}
        for duel in job.duels:
            if duel.name not in judged:
                job.record(duel.name, "run", decision)
        if not job.series:
            job.record("-", "run", decision)
    hide, hidden = hardware.pseudonyms.hide, hardware.pseudonyms.hide_facts(facts)
    seconds = round(time.monotonic() - start, 1)
    series = [changed(item, reason=hide(item.reason)) for item in job.series]
    told = {key: hide(value) for key, value in levels.items()}
    error = error and hide(error)
    return DeviceNight(name=name, kind=kind, facts=hidden, conditions=told, seconds=seconds, error=error), series


def _duels(
    fleet: DeviceFleet, device: str, entry: DeviceEntry, history: History, hardware: Hardware, job: DeviceJob
) -> tuple[Duel, ...]:
    """Those artifacts that have a whole candidate and a golden; for the others, a record says what is missing."""
    found = []
    for name in artifacts_of(fleet, entry):
        try:
            candidate = Build.open(fleet.build_folder(name))
            golden = _golden(fleet, history, name)
            if golden is None:
                hint = pasteable("ofa-edge", "baseline", "accept", name, "--config", fleet.path)
                job.record(name, "run", Decision(Colour.INCONCLUSIVE, "no-baseline", f"nothing was accepted: {hint}"))
                continue
            device_name, data = entry.device or device, fleet.data_folder(name)
            found.append(hardware.make_duel(name, golden, candidate, device_name, fleet.file.protocol, data))
        except DamagedHistoryError as error:
            job.record(name, "run", Decision(Colour.INCONCLUSIVE, "history-damaged", f"{error.what}: {error.why}"))
        except OfaEdgeError as error:
            reason = f"{error.what}: {error.why}"
            job.record(name, "run", Decision(Colour.INCONCLUSIVE, "no-candidate", reason))
    return tuple(found)


def _golden(fleet: DeviceFleet, history: History, artifact: str) -> Build | None:
    record = history.golden(artifact)
    return None if record is None else Store(fleet.store).open(record.sha256)


def _past(history: History, device: str, duel: Duel, rules: Rules) -> Past:
    return past_of(history.nights, device, duel.name, duel.golden.file.sha256, rules)
