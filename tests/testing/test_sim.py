"""The simulated device: what it answers, what it refuses to claim, and that each kind of fault is what it says."""

import dataclasses
import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from places import ROOT
from tiny_tflite import CLASSES, SHAPE, tiny_tflite

from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import ConfigError, DeviceLostError, DeviceRunError, DeviceTimeoutError, UsageError
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.files import sha256_file
from ofa_edge.testing.noise import LOCKED_BOARD, STOCK_PHONE
from ofa_edge.testing.sim import (
    FOR_GOOD,
    Fault,
    ModelNoise,
    SimConnection,
    SimDevice,
    SteadyNoise,
    Thermal,
    Truth,
    connect,
)

PLAN = LatencyPlan(sessions=3, min_runs=50, min_seconds=0.0)


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_tflite(False))
    return path


@pytest.fixture
def images():
    return np.random.default_rng(3).normal(size=(6, *SHAPE)).astype(np.float32)


@pytest.fixture
def make_device():
    devices = []

    def make(pretend_physical=False, **truth):
        devices.append(SimDevice(Truth(**truth), pretend_physical=pretend_physical))
        return devices[-1]

    yield make
    for device in devices:
        device.remove()
        assert not device.root.exists()


def request(artifact, images, classes=10, **changes):
    return Request(artifact, litert_program, images, classes, **{"latency": PLAN, **changes})


def test_it_is_emulated_whatever_is_true_of_it(make_device, artifact, images):
    device = make_device(latency_ms=1.0, files={"/etc/ofa-edge-device": "physical\n"})
    found = measure(SimConnection(device), request(artifact, images))
    assert found.fingerprint.device_kind == "emulated"
    assert found.latency is None
    assert found.outputs.shape == (6, 10)
    assert device.left_behind() == []


def test_one_that_pretends_is_found_out_by_its_evidence(make_device, artifact, images):
    truth = {"latency_ms": {sha256_file(artifact): 4.0}, "noise": SteadyNoise(0.01)}
    device = make_device(pretend_physical=True, **truth)
    found = measure(SimConnection(device), request(artifact, images))
    assert found.fingerprint.device_kind == "physical"
    assert "simulated" in found.fingerprint.kind_evidence
    assert found.latency.sessions == 3
    assert found.latency.p50_ms == pytest.approx(4.0, rel=0.01)
    assert found.latency.load_ms == 20.0


def test_the_real_artifact_answers_where_that_is_wanted(make_device, artifact, images):
    device = make_device(pretend_physical=True, answers="real", latency_ms=3.0)
    found = measure(SimConnection(device), request(artifact, images, CLASSES))
    np.testing.assert_array_equal(found.outputs, run_tflite(artifact, images))
    assert found.runner["operators"] == 5
    assert found.latency.p50_ms == pytest.approx(3.0, rel=0.02)


def test_answers_can_be_a_function(make_device, artifact, images):
    device = make_device(answers=lambda path, batch: np.full((len(batch), 4), path.stat().st_size, np.float32))
    found = measure(SimConnection(device), request(artifact, images, classes=4))
    assert (found.outputs == artifact.stat().st_size).all()


def test_the_same_seed_gives_the_same_samples(make_device, artifact, images):
    runs = [
        measure(SimConnection(make_device(True, seed=seed)), request(artifact, images)).latency.samples_ns
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_it_shows_nothing_of_this_machine(make_device):
    connection = SimConnection(make_device())
    for path in ("/etc/passwd", "/proc/self/environ"):
        with pytest.raises(DeviceRunError, match="head failed"):
            connection.run(["head", "-v", path], 10)
        with pytest.raises(DeviceRunError, match="rm failed"):
            connection.run(["rm", "-rf", path], 10)
    with pytest.raises(DeviceRunError, match="not found"):
        connection.run(["nvpmodel", "-q"], 10)


def test_it_heats_up_under_load_throttles_and_says_so(make_device, artifact, images):
    heat = Thermal(ambient_c=40, rise_c=60, time_constant_s=10, limit_c=80, slowdown=2.0)
    device = make_device(True, latency_ms=10.0, thermal=heat)
    connection = SimConnection(device)
    assert connection.run(["vcgencmd", "get_throttled"], 10).stdout == "throttled=0x0\n"
    plan = dataclasses.replace(PLAN, sessions=5, min_seconds=5.0)
    samples = measure(connection, request(artifact, images, latency=plan)).latency.samples_ns
    assert np.median(samples[0]) / 1e6 == pytest.approx(10, rel=0.1)
    assert np.median(samples[-1]) / 1e6 == pytest.approx(20, rel=0.1)
    assert connection.run(["vcgencmd", "get_throttled"], 10).stdout == "throttled=0x40004\n"
    device.spend(300)
    assert connection.run(["vcgencmd", "get_throttled"], 10).stdout == "throttled=0x40000\n"


def test_time_passes_only_where_a_pace_is_set(make_device):
    device = make_device()
    with pytest.raises(DeviceTimeoutError, match="limit"):
        SimConnection(device, faults=[Fault("hang")]).run(["uname"], 3600)
    assert device.clock_s == 3600


def test_what_each_fault_does_to_a_call(make_device):
    def call(kind, **options):
        device = make_device()
        connection = SimConnection(device, faults=[Fault(kind, **options)])
        return device, connection, lambda: connection.run(["uname", "-srm"], 10)

    whole = "Linux 6.6.0-sim aarch64\n"
    for kind, error in (("hang", DeviceTimeoutError), ("disconnect", DeviceLostError), ("exit", DeviceRunError)):
        _, _, run = call(kind)
        with pytest.raises(error):
            run()
        assert run().stdout == whole  # it lasts one call
    assert call("truncate")[2]().stdout == whole[:12]
    assert "aarch64" not in call("garbage")[2]().stdout
    device, _, run = call("reboot")
    before = device.boot_id
    for _ in range(2):
        with pytest.raises(DeviceLostError):
            run()
    assert run().stdout == whole
    assert device.boot_id != before
    device, _, run = call("throttle", nth=1)
    assert (run().stdout, device.throttled) == (whole, 0)
    assert (run().stdout, device.throttled != 0) == (whole, True)


def test_a_late_fault_leaves_what_was_done(make_device):
    device = make_device()
    connection = SimConnection(device, faults=[Fault("disconnect", on="run mkdir *", late=True, calls=FOR_GOOD)])
    for _ in range(2):
        with pytest.raises(DeviceLostError):
            connection.run(["mkdir", f"{device.folder}/made"], 10)
    assert device.left_behind() == ["made"]
    connection.faults.end()
    assert connection.run(["ls", str(device.folder)], 10).stdout == "made\n"


def test_a_disk_that_is_full_keeps_what_fits(make_device, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 1000)
    device = make_device(disk_bytes=600)
    connection = SimConnection(device)
    with connection.workdir() as work:
        with pytest.raises(DeviceRunError, match="scp failed") as caught:
            connection._send(tmp_path / "data", work / "data")
        assert Path(work / "data").stat().st_size == 600
        assert "No space left" in caught.value.why
        Path(work / "data").unlink()
        with pytest.raises(DeviceRunError, match="disk full on sim"):
            connection.push(tmp_path / "data", work / "data")
        assert list(Path(work).iterdir()) == []
    assert device.left_behind() == []


def test_a_schedule_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match="no fault 'explode'"):
        Fault("explode")
    for bad in ({"nth": -1}, {"calls": 0}):
        with pytest.raises(UsageError, match="not a schedule"):
            Fault("hang", **bad)


def test_one_from_a_devices_file_is_emulated_and_ends_with_its_connection():
    connection = connect("made", {"latency_ms": 3, "seed": 5})
    assert connection.fingerprint().device_kind == "emulated"
    assert connection.device.truth.latency_ms == 3
    connection.close()
    assert not connection.device.root.exists()


@pytest.mark.parametrize(
    "options", [{"pretend_physical": True}, {"latency_ms": "3"}, {"answers": "false"}, {"noise": 1}]
)
def test_no_file_makes_a_simulated_device_into_hardware(options):
    with pytest.raises(ConfigError, match="does not fit"):
        connect("made", options)


def test_the_entry_point_is_there():
    with (ROOT / "pyproject.toml").open("rb") as file:
        points = tomllib.load(file)["project"]["entry-points"]["ofa_edge.connections"]
    module, _, name = points["sim"].partition(":")
    assert getattr(importlib.import_module(module), name) is connect


def test_noise_can_be_that_of_a_model(make_device, artifact, images):
    spreads = []
    for model in (LOCKED_BOARD, STOCK_PHONE):
        device = make_device(True, noise=ModelNoise(model, seed=4))
        plan = dataclasses.replace(PLAN, sessions=30)
        sessions = measure(SimConnection(device), request(artifact, images, latency=plan)).latency.samples_ns
        spreads.append(np.std([np.log(np.median(samples)) for samples in sessions]))
    assert 0.002 < spreads[0] < 0.05 < 3 * spreads[1]
    assert spreads[1] > 1.5 * spreads[0]
