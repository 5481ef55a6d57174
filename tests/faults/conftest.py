import numpy as np
import pytest
from tiny_tflite import SHAPE

from ofa_edge.device.connections.process import ProcessConnection
from ofa_edge.testing.sim import SimDevice, SteadyNoise, Truth


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No pauses between attempts, and nothing of the user's own state."""
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.fsync", lambda handle: None)  # hundreds of runs, and nobody pulls this machine's plug
    monkeypatch.setattr(ProcessConnection, "backoff_s", 0.0)


@pytest.fixture
def make_device():
    """Simulated boards that claim to be hardware, so that the whole protocol runs; each with noise of its own."""
    devices = []

    def make(**truth):
        values = {"noise": SteadyNoise(0.02), "seed": len(devices), "latency_ms": 2.0 + len(devices), **truth}
        devices.append(SimDevice(Truth(**values), pretend_physical=True))
        return devices[-1]

    yield make
    for device in devices:
        device.remove()


@pytest.fixture
def artifact(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(range(256)) * 40)  # the simulated runner asks nothing of it but its digest
    return path


@pytest.fixture
def images():
    return np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32)
