"""Records of a device: the same answers without it, and a clear word where a call differs."""

import json
import re
import threading

import numpy as np
import pytest
from tiny_tflite import CLASSES, SHAPE, tiny_tflite

from ofa_edge.device.conditions import prepared
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import DeviceBusyError, DeviceLostError, DeviceRunError, UsageError
from ofa_edge.testing.recording import RecordingConnection, ReplayConnection
from ofa_edge.testing.sim import Fault, SimConnection, SimDevice

PLAN = LatencyPlan(sessions=2, min_runs=10, min_seconds=0, warmup_seconds=0, warmup_limit_seconds=0.2)


@pytest.fixture
def device():
    made = SimDevice(pretend_physical=True)
    yield made
    made.remove()


@pytest.fixture
def images():
    return np.random.default_rng(3).normal(size=(3, *SHAPE)).astype(np.float32)


def request(tmp_path, images, classes=10):
    path = tmp_path / "model.tflite"
    if not path.exists():
        path.write_bytes(tiny_tflite(True))
    return Request(path, litert_program, images, classes, latency=PLAN)


def test_a_measurement_is_answered_from_its_record(tmp_path, device, images):
    recording = RecordingConnection(SimConnection(device, "bench"), tmp_path / "record")
    with prepared(recording) as conditions:
        first = measure(recording, request(tmp_path, images), conditions)
    device.remove()
    for _ in range(2):
        replay = ReplayConnection(tmp_path / "record", as_recorded=True)
        with prepared(replay) as conditions:
            again = measure(replay, request(tmp_path, images), conditions)
        replay.check_finished()
        np.testing.assert_array_equal(again.outputs, first.outputs)
        assert again.latency == first.latency
        assert (again.device, replay.kind) == ("bench", "sim")
        assert again.fingerprint.kind_evidence.startswith("replayed; then: physical")


def test_this_machine_can_be_recorded(tmp_path, images):
    recording = RecordingConnection(LocalConnection(), tmp_path / "record")
    first = measure(recording, request(tmp_path, images, CLASSES))
    again = measure(ReplayConnection(tmp_path / "record", as_recorded=True), request(tmp_path, images, CLASSES))
    np.testing.assert_array_equal(again.outputs, first.outputs)
    assert again.latency == first.latency


def test_a_replay_is_no_hardware(tmp_path, device):
    RecordingConnection(SimConnection(device), tmp_path / "record").fingerprint()
    assert ReplayConnection(tmp_path / "record").fingerprint().device_kind == "emulated"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda device, path: device.run(["uname", "-a"], 10), r"argv\[1\]: recorded '-m', now '-a'"),
        (lambda device, path: device.run(["uname", "-m", "-s"], 10), "argv: recorded 2 words, now 3"),
        (lambda device, path: device.run(["uname", "-m"], 10, {"A": "b"}), "env: recorded {}, now {'A': 'b'}"),
        (lambda device, path: device.fingerprint(), "call: recorded 'run', now 'fingerprint'|argv"),
    ],
)
def test_a_call_that_differs_is_named(tmp_path, device, call, said):
    RecordingConnection(SimConnection(device), tmp_path / "record").run(["uname", "-m"], 10)
    replay = ReplayConnection(tmp_path / "record")
    with pytest.raises(UsageError, match="call 1 differs") as caught:
        call(replay, tmp_path)
    assert re.search(said, caught.value.why)
    with pytest.raises(UsageError, match="call 1 differs") as caught:
        replay.check_finished()
    assert "run uname -m" in caught.value.why
    replay.run(["uname", "-m"], 10)
    replay.check_finished()
    with pytest.raises(UsageError, match="call 2 differs") as caught:
        replay.run(["uname", "-m"], 10)
    assert "ends before run uname -m" in caught.value.why


def test_another_file_than_was_pushed_is_noticed(tmp_path, device):
    (tmp_path / "file").write_bytes(b"one")
    recording = RecordingConnection(SimConnection(device), tmp_path / "record")
    with recording.workdir() as work:
        recording.push(tmp_path / "file", work / "file")
        recording.pull(work / "file", tmp_path / "back")
    (tmp_path / "file").write_bytes(b"two")
    replay = ReplayConnection(tmp_path / "record")
    with replay.workdir() as work, pytest.raises(UsageError, match="differs") as caught:
        replay.push(tmp_path / "file", work / "file")
    assert "sha256: recorded" in caught.value.why


def test_errors_are_recorded_with_their_class(tmp_path, device):
    class Busy(SimConnection):
        def fingerprint(self):
            raise DeviceBusyError("taken", "by another", "wait", reason="leased")

    recording = RecordingConnection(Busy(device, faults=[Fault("disconnect", nth=1)]), tmp_path / "record")
    for make in (lambda: recording, lambda: ReplayConnection(tmp_path / "record")):
        connection = make()
        with pytest.raises(DeviceRunError, match="no-such-program failed"):
            connection.run(["no-such-program"], 10)
        with pytest.raises(DeviceLostError, match="no connection"):
            connection.run(["uname"], 10)
        with pytest.raises(DeviceBusyError) as caught:
            connection.fingerprint()
        assert caught.value.reason == "leased"


def test_a_watch_in_another_thread_may_ask_as_often_as_it_likes(tmp_path, device):
    recording = RecordingConnection(SimConnection(device), tmp_path / "record")

    def in_thread(call):
        found = []
        thread = threading.Thread(target=lambda: found.append(call()))
        thread.start()
        thread.join()
        return found[0]

    recording.run(["uname", "-s"], 10)
    in_thread(lambda: recording.run(["vcgencmd", "get_throttled"], 10))
    device.throttle()
    in_thread(lambda: recording.run(["vcgencmd", "get_throttled"], 10))
    recording.run(["uname", "-m"], 10)
    replay = ReplayConnection(tmp_path / "record")
    replay.run(["uname", "-s"], 10)
    told = [in_thread(lambda: replay.run(["vcgencmd", "get_throttled"], 10)).stdout.strip() for _ in range(4)]
    assert told == ["throttled=0x0", *["throttled=0x40004"] * 3]
    replay.run(["uname", "-m"], 10)
    replay.check_finished()


def test_what_is_no_record_is_refused(tmp_path, device):
    with pytest.raises(UsageError, match="not a record"):
        ReplayConnection(tmp_path)
    for text in ("", "[]", '{"schema": 2}', '{"schema": 1}', "{"):
        (tmp_path / "calls.jsonl").write_text(text)
        with pytest.raises(UsageError, match="not a record"):
            ReplayConnection(tmp_path)
    with pytest.raises(UsageError, match="never added to"):
        RecordingConnection(SimConnection(device), tmp_path)


def test_a_record_whose_last_line_was_cut_off_keeps_the_calls_before_it(tmp_path, device):
    recording = RecordingConnection(SimConnection(device), tmp_path / "record")
    recording.run(["uname", "-m"], 10)
    recording.run(["uname", "-m"], 10)
    path = tmp_path / "record" / "calls.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    replay = ReplayConnection(tmp_path / "record")
    replay.run(["uname", "-m"], 10)
    with pytest.raises(UsageError, match="the record ends before"):
        replay.run(["uname", "-m"], 10)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "null",
        "{}",
        '{"call": "run"}',
        '{"call": "run", "lane": 0, "argv": ["a"]}',
        '{"call": "run", "lane": 0, "argv": ["a"], "answer": []}',
        '{"call": "run", "lane": 0, "argv": 3, "answer": {}}',
        '{"call": "run", "lane": "0", "argv": ["a"], "answer": {}}',
        '{"call": "run", "lane": 0, "argv": ["a"], "answer": {"strange": 1}}',
        '{"call": "pull", "lane": 0, "remote": "/a", "answer": 3}',
        '{"call": "push", "lane": 0, "error": "lost"}',
        '{"call": "push", "lane": 0, "error": {"class": "DeviceError"}}',
        '{"call": "push", "lane": ' + "9" * 5000 + "}",
        "[" * 5000,
    ],
)
def test_a_line_that_is_no_call_is_refused_when_the_record_is_opened(tmp_path, device, line):
    recording = RecordingConnection(SimConnection(device), tmp_path / "record")
    recording.run(["uname", "-m"], 10)
    with (tmp_path / "record" / "calls.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match="not a record"):
        ReplayConnection(tmp_path / "record")


def test_a_damaged_record_is_noticed(tmp_path, device):
    (tmp_path / "file").write_bytes(b"one")
    recording = RecordingConnection(SimConnection(device), tmp_path / "record")
    with recording.workdir() as work:
        recording.push(tmp_path / "file", work / "file")
        recording.pull(work / "file", tmp_path / "back")
    (kept,) = [path for path in (tmp_path / "record").iterdir() if path.name != "calls.jsonl"]
    assert json.loads((tmp_path / "record" / "calls.jsonl").read_text().splitlines()[-1])["answer"] == kept.name
    kept.write_bytes(b"two")
    replay = ReplayConnection(tmp_path / "record")
    with replay.workdir() as work:
        replay.push(tmp_path / "file", work / "file")
        with pytest.raises(UsageError, match="damaged"):
            replay.pull(work / "file", tmp_path / "again")
