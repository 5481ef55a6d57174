"""The device stage of a build, on a device that is not there."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from builds import Stages
from lacking import NO_MODULE, Board

from ofa_edge.device import access
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.lease import hold
from ofa_edge.device.protocol import Fingerprint, Instructions, Measurement, ModelledCycles
from ofa_edge.errors import DeviceBusyError, DeviceLostError, ToolMissingError
from ofa_edge.targets import load_target
from ofa_edge.workflows.build import finish, on_device


class FakeConnection:
    """An emulated device without an emulator."""

    name = kind = "emulated"

    def __init__(self) -> None:
        self.closed = False
        self.boots = 0

    def fingerprint(self) -> Fingerprint:
        self.boots += 1
        return Fingerprint(
            "emulated", "marker", "aarch64", "cortex-a72", "", "", "6.1", f"boot {self.boots}", 1, "QEMU"
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def emulator(monkeypatch):
    """Builds on "emulated" get a fake one, which answers as this machine does; `runs` holds its measurements."""
    from ofa_edge.export.tflite.convert import run_tflite

    connection, runs = FakeConnection(), []

    def measured(to, request):
        assert to is connection
        runs.append(request)
        logits = run_tflite(request.artifact, request.inputs)
        cycles = ModelledCycles(2_000_000, 1_858_000, 1000, "LLVM 14")
        counted = Instructions(1_234_567, 0.0, 3, 1, "QEMU", cycles)
        return Measurement("emulated", to.fingerprint(), logits, {"version": "2"}, None, 12.5, counted, ("a note",))

    monkeypatch.setattr(access, "open_connection", lambda name, target: connection)
    monkeypatch.setattr(finish, "require_ready", lambda *_: None)  # it has no programs to ask
    monkeypatch.setattr(on_device, "measure", measured)
    return connection, runs


def test_an_emulated_device_adds_a_rung_and_no_milliseconds(first, own_cache, tmp_path, emulator):
    connection, runs = emulator
    manifest, stages = own_cache.build(tmp_path / "out", device="emulated")
    assert stages.made == {"device"}
    assert connection.closed
    assert manifest.labels == ("emulated",)
    last = manifest.ladder[-1]
    assert (last.name, last.reference, last.outcome) == ("on device", "tflite fp32", "pass")
    assert last.note == "emulated cortex-a72"
    (measurement,) = manifest.measurements
    assert (measurement.kind, measurement.latency_ms) == ("emulated", None)
    assert (measurement.instructions_per_inference, measurement.emulation_wall_ms) == (1_234_567, 12.5)
    assert measurement.modelled_cycles.missed_lines == 1000
    assert measurement.note == "a note"
    assert manifest.verdicts[-1].code == "emulated-device"
    assert manifest.verdicts[-1].outcome == "unverified"
    assert manifest.skipped == ()
    assert len(runs[0].inputs) == 50
    again, stages = own_cache.build(tmp_path / "out", device="emulated")
    assert stages.made == set()  # it is deterministic: another boot changes nothing
    assert len(runs) == 1
    assert again.ladder == manifest.ladder
    assert again.measurements == manifest.measurements


def test_a_device_that_answers_otherwise_fails_the_build(first, own_cache, tmp_path, emulator, monkeypatch):
    right = on_device.measure

    def wrong(to, request):
        measurement = right(to, request)
        return replace(measurement, outputs=np.roll(measurement.outputs, 1, axis=0))

    monkeypatch.setattr(on_device, "measure", wrong)
    manifest, _ = own_cache.build(tmp_path / "out", device="emulated")
    assert manifest.outcome == "fail"
    verdicts = {verdict.gate: verdict for verdict in manifest.verdicts}
    assert verdicts["parity"].code == "rung-out-of-tolerance"
    assert verdicts["parity"].reason.startswith("on device: ")


def test_what_a_device_lacks_is_told_before_any_stage(own_cache, tmp_path, monkeypatch):
    board = Board(missing={"numpy": NO_MODULE.format("numpy")})
    board.close = lambda: None
    monkeypatch.setattr(access, "open_connection", lambda name, target: board)
    stages = Stages()
    with pytest.raises(ToolMissingError, match="pi has no numpy"):
        own_cache.build(tmp_path / "out", stages, device="emulated")
    assert not stages.hits
    assert not (tmp_path / "out").exists()


def test_a_lost_device_leaves_no_output(first, own_cache, tmp_path, emulator, monkeypatch):
    connection, _ = emulator

    def lost(to, request):
        raise DeviceLostError("the connection broke", "pi", "again")

    monkeypatch.setattr(on_device, "measure", lost)
    with pytest.raises(DeviceLostError):
        own_cache.build(tmp_path / "out", device="emulated")
    assert connection.closed
    assert not (tmp_path / "out").exists()


def peak(target, precision, fingerprint):
    return access.peak_gmacs(load_target(target), precision, fingerprint, SimpleNamespace(kind="ssh"))


def test_only_the_targets_own_hardware_is_held_against_its_peak():
    pi = Fingerprint("physical", "", "aarch64", "cortex-a72", "Raspberry Pi 4 Model B Rev 1.4", "", "", "boot", 4)
    assert peak("raspberry-pi-4", "fp32", pi) == 28.8
    assert peak("raspberry-pi-4", "int8", pi) == peak("raspberry-pi-4", "dynamic", pi) == 57.6
    assert peak("raspberry-pi-4", "fp16", pi) == 28.8  # it has no fp16 arithmetic and computes in fp32
    assert peak("raspberry-pi-4", "fp32", replace(pi, cpu="AMD EPYC", model="")) is None
    assert peak("raspberry-pi-4", "fp32", replace(pi, device_kind="emulated")) is None
    assert peak("host", "fp32", pi) is None


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """This machine, by a name of the devices file, whose table expects a serial number."""
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    (tmp_path / "devices.toml").write_text('schema = 1\n[devices.bench]\nkind = "ssh"\nhost = "b"\nserial = "none"\n')
    return LocalConnection("bench")


def test_a_device_is_held_only_if_it_is_the_one_of_the_devices_file(bench):
    with pytest.raises(DeviceBusyError) as caught, access.held(bench, load_target("host")):
        pass
    assert caught.value.reason == "wrong-device"
    with hold(bench), pytest.raises(DeviceBusyError) as caught, access.held(bench, load_target("host")):
        pass
    assert caught.value.reason == "leased"
    with access.held(LocalConnection(), load_target("host")) as conditions:
        assert conditions is not None


def test_a_lease_that_was_taken_over_ends_the_next_session(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("ofa_edge.device.measuring.lease.BEAT_S", 0.05)
    with access.held(LocalConnection(), load_target("host")) as conditions:
        conditions.before()
        with pytest.raises(DeviceBusyError) as caught:
            wait_until_lost(conditions, tmp_path / "leases")
    assert caught.value.reason == "lease-lost"


def wait_until_lost(conditions, leases):
    """The heartbeat finds out, some time later; one that was about to write is told again."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for path in leases.glob("*.json"):
            path.write_text("{}")
        conditions.before()
        time.sleep(0.02)
