"""The demo app as a runner: the real adb client, and an `am` that leaves the files that the activity leaves."""

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import pytest
from adb_rig import WHY_NOT, Phone
from places import ROOT

from ofa_edge.device.measuring import programs
from ofa_edge.device.measuring.android_app import AndroidAppProgram
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import DeviceBusyError, DeviceRunError, DeviceTimeoutError, ThrottledError, UnsupportedError
from ofa_edge.files import sha256_file
from ofa_edge.records.manifest import DeviceMeasurement

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
CLASSES = 5
PLAN = LatencyPlan(sessions=2, min_runs=5, min_seconds=0.0)
AM = """
import hashlib, json, pathlib, sys
home, words = pathlib.Path({home!r}), sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(" ".join(words) + chr(10))
if words[0] == "force-stop":
    sys.exit()
extras = {{words[i + 1]: words[i + 2] for i in range(4, len(words), 3)}}
mode, files = json.loads((home / "mode").read_text()), home / "files"
if mode == "silent":
    sys.exit()
model = (files / extras["file"]).read_bytes()
report = json.loads((home / "report").read_text())
report["artifact"]["sha256"] = hashlib.sha256(model).hexdigest()
assert extras["sha256"] == report["artifact"]["sha256"]
report.update(mode)
if report["status"] == "ok":
    raw = (files / extras["inputs"]).read_bytes()
    size = 12 * 12 * 2 * 4
    (files / "ofa-edge-run.logits.f32").write_bytes(b"".join(raw[i:i + 20] for i in range(0, len(raw), size)))
    if extras["run"] == "accuracy":
        report["latency"] = None
(files / (extras["out"] + ".json")).write_text(json.dumps(report))
"""
RUNNER = {"version": "2.1", "threads": 1, "operators": 9, "delegated_operators": 8}
REPORT = {
    "schema": 1, "tool": "org.ofaedge.demo", "version": "1.0", "id": "", "error": None, "status": "ok",
    "artifact": {"sha256": ""},
    "measurement": {
        "name": "Nobody Phone", "kind": "physical", "connection": "android-app", "fingerprint": {}, "runner": RUNNER,
        "latency_ms": None, "instructions_per_inference": None, "emulation_wall_ms": None, "note": "",
    },
    "latency": {
        "samples_ns": [[5_000_000] * 6],
        "load_ms": 2.5, "first_ms": 7.25, "warmup_runs": [20], "settled": True,
    },
}  # fmt: skip

FAULTS = ROOT / "android_demo/app/src/main/java/org/ofaedge/demo/core/Fault.java"
CODES = re.findall(r'"([a-z-]+)"', FAULTS.read_text())  # all that the app can answer with
UNFIT = {**dict.fromkeys(("battery-low", "too-hot", "busy"), DeviceBusyError), "throttled": ThrottledError}


def expected(code):
    """The app's report, the error that it becomes, and words of it."""
    words = "slowed down" if code == "throttled" else code
    return {"status": "error", "error": {"code": code, "reason": "so"}}, UNFIT.get(code, DeviceRunError), words


def test_the_codes_are_those_of_the_app():
    assert len(CODES) == len(set(CODES)) >= 16
    assert set(UNFIT) <= set(CODES)


@pytest.fixture
def device(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "am.py").write_text(AM.format(home=str(tmp_path)))
    for name, text in {
        "am": f'exec {sys.executable} -S {tools}/am.py "$@"',
        "pm": "echo package:x",
        "pidof": "",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    (tmp_path / "report").write_text(json.dumps(REPORT))
    (tmp_path / "mode").write_text("{}")
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    app = partial(AndroidAppProgram, app_files=PurePosixPath(tmp_path / "files"))
    monkeypatch.setattr(programs, "AndroidAppProgram", app)
    phone = Phone(tmp_path)
    connection = phone.connect()
    real = replace(connection.fingerprint(), device_kind="physical", build="google/flame")
    monkeypatch.setattr(connection, "fingerprint", lambda: real)
    yield connection
    connection.close()
    phone.stop()


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"a model")
    images = np.random.default_rng(0).normal(size=(3, 2, 12, 12)).astype(np.float32)
    return Request(tmp_path / "m.tflite", litert_program, images, CLASSES, latency=None)


def test_answers_and_cold_sessions(device, request_, tmp_path):
    DeviceMeasurement.model_validate_json(json.dumps(REPORT["measurement"]))
    found = measure(device, replace(request_, latency=PLAN, memory=True))
    wanted = request_.inputs.transpose(0, 2, 3, 1).reshape(3, -1)[:, :CLASSES]
    np.testing.assert_array_equal(found.outputs, wanted)
    assert found.latency.samples_ns == ((5_000_000,) * 6,) * 2
    assert (found.latency.load_ms, found.latency.first_ms) == (2.5, 7.25)
    assert found.runner["undelegated"] == {"not named by the app": 1}
    assert found.peak_memory is None
    calls = (tmp_path / "calls").read_text().splitlines()
    starts = [i for i, call in enumerate(calls) if call.startswith("start")]
    assert len(starts) == 3  # the accuracy pass, and one for each session
    assert all(calls[i - 1] == "force-stop org.ofaedge.demo" for i in starts)
    assert "--ez preflight true" in calls[starts[1]]
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        *(expected(code) for code in CODES),
        ({"schema": 2}, DeviceRunError, "schema 2"),
        ({"tool": "another"}, DeviceRunError, "another"),
        ({"artifact": {"sha256": "0" * 64}}, DeviceRunError, "another model"),
        ({"measurement": []}, DeviceRunError, "not readable"),
    ],
)
def test_what_went_wrong_is_named_and_nothing_stays(device, request_, tmp_path, mode, error, words):
    (tmp_path / "mode").write_text(json.dumps(mode))
    with pytest.raises(error, match=words):
        measure(device, request_)
    assert list((tmp_path / "files").iterdir()) == []


def test_no_app_on_the_phone(device, request_, tmp_path):
    (tmp_path / "bin/pm").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(DeviceRunError, match="adb install -r"):
        measure(device, request_)


def test_an_app_that_never_answers_and_one_that_dies(device, request_, tmp_path):
    (tmp_path / "mode").write_text('"silent"')
    with pytest.raises(DeviceTimeoutError):
        measure(device, replace(request_, timeout_s=2))
    assert list((tmp_path / "files").iterdir()) == []
    (tmp_path / "bin/pidof").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(DeviceRunError, match="ended"):
        measure(device, request_)


def test_who_runs_what(device, request_):
    prints = device.fingerprint()
    assert isinstance(programs.litert_program(device, request_, prints), AndroidAppProgram)
    emulated = replace(prints, device_kind="emulated")
    assert isinstance(programs.litert_program(device, request_, emulated), programs.LiteRtProgram)
    with pytest.raises(UnsupportedError, match="cores"):
        programs.litert_program(device, replace(request_, cores=(4,)), prints)
    assert sha256_file(request_.artifact) in AndroidAppProgram(request_.artifact, CLASSES).command(
        PurePosixPath("/w"), "i.f32", "o.f32"
    )
