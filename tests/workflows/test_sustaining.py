"""Sustained speed, measured: a simulated board that gets hot, this machine, and what tells nothing."""

import contextlib
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_tflite import SHAPE, tiny_tflite

from ofa_edge.cli import cli
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.measuring.session import OpenArtifact, open_artifact
from ofa_edge.device.protocol import Request
from ofa_edge.errors import ConfigError, DeviceBusyError, UnsupportedError
from ofa_edge.testing.sim import SimConnection
from ofa_edge.testing.sim_device import SimDevice, Thermal, Truth
from ofa_edge.workflows import sustain as sustaining
from ofa_edge.workflows.sustain import SustainedSpeed, measure_sustained, sustain

BARE = Thermal(ambient_c=40, rise_c=60, time_constant_s=60, limit_c=70, slowdown=1.8)
STEADY = tuple((5.0 * place, 2.0) for place in range(1, 10))


@contextlib.contextmanager
def lying_ready(tmp_path, pretend_physical=True):
    """An artifact on a simulated board that gets hot, and the board."""
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_tflite(False))
    images = np.zeros((1, *SHAPE), np.float32)
    device = SimDevice(Truth(latency_ms=10.0, thermal=BARE), pretend_physical=pretend_physical)
    try:
        with open_artifact(SimConnection(device), Request(path, litert_program, images, 10)) as artifact:
            yield artifact, device
    finally:
        device.remove()


def test_a_board_that_gets_hot_has_its_factor(tmp_path):
    told = []
    with lying_ready(tmp_path) as (artifact, device):
        found = measure_sustained(artifact, 300.0, lambda *point: told.append(point), clock=lambda: device.clock_s)
    assert found.cold_ms == pytest.approx(10.0, rel=0.02)
    assert found.factor == pytest.approx(1.8, rel=0.02)
    assert found.steady
    assert found.under_load == tuple(told)
    assert 300 <= told[-1][0] < 320
    table = tomllib.loads(found.table('open case, "22 C"', "2026-01-02"))["sustained"]
    assert table["factor"] == 1.8
    assert "5 min of model.tflite (1 thread); cooling: open case" in table["source"]


def test_a_load_that_ends_while_it_still_gets_slower_says_so(tmp_path):
    with lying_ready(tmp_path) as (artifact, device):
        found = measure_sustained(artifact, 70.0, clock=lambda: device.clock_s)
    assert not found.steady


def test_a_phone_that_refuses_in_the_heat_keeps_what_was_measured(tmp_path, monkeypatch):
    sessions = iter(range(20))
    plain = OpenArtifact.session

    def session(self, plan, expected=None):
        if next(sessions) == 12:
            raise DeviceBusyError("the phone is not fit to be measured", "too-hot: 46 C", "?", "too-hot")
        return plain(self, plan, expected)

    monkeypatch.setattr(OpenArtifact, "session", session)
    with lying_ready(tmp_path) as (artifact, device):
        found = measure_sustained(artifact, 300.0, clock=lambda: device.clock_s)
    assert (len(found.under_load), found.reason) == (9, "too-hot: too-hot: 46 C")


def test_what_tells_nothing_is_refused(tmp_path, first):
    with lying_ready(tmp_path) as (artifact, device), pytest.raises(UnsupportedError, match="too little load"):
        measure_sustained(artifact, 10.0, clock=lambda: device.clock_s)
    with (
        lying_ready(tmp_path, pretend_physical=False) as (artifact, _),
        pytest.raises(UnsupportedError, match="emulated"),
    ):
        measure_sustained(artifact, 10.0)
    with pytest.raises(ConfigError, match="no device"):
        sustain(first[0], "none", 1.0)


def test_never_faster_hot_than_cold():
    found = SustainedSpeed("pi", "Pi", "m.tflite (1 thread)", 2.1, STEADY)
    assert (found.factor, found.hot_ms, found.steady) == (1.0, 2.0, True)


def test_what_is_shown(monkeypatch):
    slower = (*STEADY[:6], *((5.0 * place, 3.0) for place in range(7, 10)))
    found = SustainedSpeed("pi", "Pi 4", "m.tflite (4 threads)", 2.0, slower, "too-hot: 46 C")
    monkeypatch.setattr(sustaining, "sustain", lambda *_: found)
    command = ["sustain", "out", "--device", "pi", "--cooling", "none"]
    shown = CliRunner().invoke(cli, command, catch_exceptions=False).output
    assert "cold 2.0000 ms; in the last third of the load 3.0000 ms" in shown
    assert "the load ended early: too-hot: 46 C" in shown
    assert "not steady yet" in shown
    assert "factor = 1.50\n" in shown
    assert '"steady": false' in CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False).output
