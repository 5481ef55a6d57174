"""Cold sessions of artifacts that lie ready on a device: two at once, invalid ones replaced, restarts noticed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.measuring.session import open_artifact, session_from, valid_sessions
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import (
    DeviceBusyError,
    DeviceError,
    DeviceRebootedError,
    DeviceRunError,
    ThrottledError,
    UnsupportedError,
)
from ofa_edge.export.tflite.convert import run_tflite

PLAN = LatencyPlan(sessions=2, min_runs=20, min_seconds=0, warmup_seconds=0, warmup_limit_seconds=0.3, replacements=1)


class Watched(LocalConnection):
    """This machine; keeps what was run, and can seem to restart."""

    def __init__(self):
        super().__init__("watched")
        self.calls, self.boot = [], ""

    def run(self, argv, timeout_s, env=None, check=True):
        self.calls.append(tuple(argv))
        return super().run(argv, timeout_s, env, check)

    def fingerprint(self):
        found = super().fingerprint()
        return dataclasses.replace(found, boot_id=self.boot or found.boot_id)


class Scripted:
    """Conditions that say what they are told to."""

    def __init__(self, *reasons):
        self.reasons, self.asked, self.facts = list(reasons), 0, {"family": "scripted"}

    def before(self):
        self.asked += 1

    def after(self):
        return self.reasons.pop(0) if self.reasons else None


def request(artifact, images, **changes):
    return Request(artifact, litert_program, images, CLASSES, **changes)


def test_two_artifacts_lie_on_one_device_and_take_turns(artifacts, images):
    device = Watched()
    with (
        open_artifact(device, request(artifacts["fp32"], images)) as golden,
        open_artifact(device, request(artifacts["int8"], images)) as candidate,
    ):
        pushed = len(device.calls)
        found = [side.session(PLAN) for side in (golden, candidate, candidate, golden)]
        runs = [call for call in device.calls[pushed:] if "--latency" in call]
        folders = [golden.work, candidate.work]
        assert golden.work != candidate.work
        assert not any(call[0] == "sha256sum" and "model" in call[1] for call in device.calls[pushed:])
    assert [str(golden.work) in " ".join(call) for call in runs] == [True, False, False, True]
    assert all(item.valid and len(item.samples_ns) >= 20 and item.load_ns > 0 for item in found)
    np.testing.assert_array_equal(found[0].logits, run_tflite(artifacts["fp32"], images[:1])[0])
    np.testing.assert_array_equal(found[1].logits, run_tflite(artifacts["int8"], images[:1])[0])
    assert found[0].p50_ms == np.median(found[0].samples_ns) / 1e6
    assert not any(Path(folder).exists() for folder in folders)


def test_an_invalid_session_is_run_again_whole(artifacts, images):
    conditions = Scripted(None, "throttled")
    with open_artifact(Watched(), request(artifacts["int8"], images), conditions) as artifact:
        found = valid_sessions(artifact, PLAN)
    assert [item.reason for item in found] == ["", ""]
    assert conditions.asked == 3


def test_a_device_that_stays_hot_gives_nothing(artifacts, images):
    conditions = Scripted(*["throttled"] * 9)
    with (
        open_artifact(Watched(), request(artifacts["int8"], images), conditions) as artifact,
        pytest.raises(ThrottledError) as caught,
    ):
        valid_sessions(artifact, PLAN)
    assert "2 of 2 sessions are invalid: throttled" in caught.value.why
    assert conditions.asked == 2


def test_nothing_runs_on_a_device_that_is_not_fit(artifacts, images):
    class Hot(Scripted):
        def before(self):
            raise DeviceBusyError("too hot", "80 C", "wait", reason="too-hot")

    device = Watched()
    with (
        open_artifact(device, request(artifacts["int8"], images), Hot()) as artifact,
        pytest.raises(DeviceBusyError) as caught,
    ):
        artifact.session(PLAN)
    assert caught.value.reason == "too-hot"
    assert not any("--latency" in call for call in device.calls)


def test_a_restart_between_sessions_is_noticed(artifacts, images):
    device = Watched()
    with open_artifact(device, request(artifacts["int8"], images)) as artifact:
        artifact.session(PLAN)
        device.boot = "another"
        with pytest.raises(DeviceRebootedError):
            artifact.session(PLAN)


def test_a_run_that_a_restart_broke_is_told_as_a_restart(artifacts, images):
    device = Watched()
    with open_artifact(device, request(artifacts["int8"], images)) as artifact:
        device.boot = "another"
        with pytest.raises(DeviceRebootedError):
            artifact.run(["false"])
        device.boot = ""
        with pytest.raises(DeviceRunError, match="exit status 1"):
            artifact.run(["false"])


def test_other_answers_than_expected_are_refused(artifacts, images):
    with (
        open_artifact(Watched(), request(artifacts["int8"], images)) as artifact,
        pytest.raises(DeviceError, match="answered differently"),
    ):
        artifact.session(PLAN, np.full(CLASSES, 77, np.float32))


def test_an_emulated_device_has_no_sessions(artifacts, images):
    class Emulated(Watched):
        def fingerprint(self):
            return dataclasses.replace(super().fingerprint(), device_kind="emulated")

    with (
        open_artifact(Emulated(), request(artifacts["int8"], images)) as artifact,
        pytest.raises(UnsupportedError, match="no latency"),
    ):
        artifact.session(PLAN)


@pytest.mark.parametrize("facts", [{}, {"latency_ns": 3}, {"latency_ns": ["x"], "load_ns": 1, "first_ns": 1}])
def test_facts_that_are_no_session(facts):
    with pytest.raises(DeviceRunError, match="not readable"):
        session_from(facts, np.zeros(1, np.float32), "")


GOOD = {"latency_ns": [5, 6, 7], "load_ns": 1, "first_ns": 9, "settled": True, "warmup_runs": 20}


@pytest.mark.parametrize(
    "change",
    [
        {"latency_ns": []},
        {"latency_ns": [5, 6]},  # fewer than were asked for
        {"latency_ns": "5678"},  # digits are no samples
        {"latency_ns": [5, 6, 0]},
        {"latency_ns": [5, 6, -7]},
        {"latency_ns": [5, 6, 7.5]},
        {"latency_ns": [5, 6, True]},
        {"latency_ns": [5, 6, 10**30]},
        {"load_ns": None},
        {"first_ns": float("inf")},
        {"settled": "yes"},
        {"warmup_runs": [1]},
    ],
)
def test_samples_that_cannot_be_are_no_session(change):
    assert session_from(GOOD, np.zeros(1, np.float32), "", 3).samples_ns == (5, 6, 7)
    with pytest.raises(DeviceRunError, match="not readable"):
        session_from({**GOOD, **change}, np.zeros(1, np.float32), "", 3)
