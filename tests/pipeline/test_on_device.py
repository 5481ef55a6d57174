"""The device stage of a build, on a device that is not there."""

from dataclasses import replace

import numpy as np
import pytest

from ofa_edge.device.protocol import Fingerprint, Instructions, Measurement
from ofa_edge.errors import DeviceLostError
from ofa_edge.pipeline import on_device


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
    from ofa_edge.export.tflite import run_tflite

    connection, runs = FakeConnection(), []

    def measured(to, request):
        assert to is connection
        runs.append(request)
        logits = run_tflite(request.artifact, request.inputs)
        counted = Instructions(1_234_567, 0.0, 3, 1, "QEMU")
        return Measurement("emulated", to.fingerprint(), logits, {"version": "2"}, None, 12.5, counted, ("a note",))

    monkeypatch.setattr(on_device, "open_connection", lambda name, target: connection)
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
    assert manifest.verdicts[0].code == "rung-out-of-tolerance"
    assert manifest.verdicts[0].reason.startswith("on device: ")


def test_a_lost_device_leaves_no_output(first, own_cache, tmp_path, emulator, monkeypatch):
    connection, _ = emulator

    def lost(to, request):
        raise DeviceLostError("the connection broke", "pi", "again")

    monkeypatch.setattr(on_device, "measure", lost)
    with pytest.raises(DeviceLostError):
        own_cache.build(tmp_path / "out", device="emulated")
    assert connection.closed
    assert not (tmp_path / "out").exists()
