"""The measuring protocol: what is measured, what is never claimed, what is refused. On this machine."""

import dataclasses
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.accuracy import side_by_side
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import last_json, litert_program, onnx_program, tvm_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import DataError, DeviceLostError, DeviceRunError, ImplausibleError, UnsupportedError
from ofa_edge.export.tflite.convert import run_tflite

PLAN = LatencyPlan(sessions=2, min_runs=30, min_seconds=0.0, warmup_seconds=0.0, warmup_limit_seconds=0.5)


class Pretender(LocalConnection):
    """This machine with another fingerprint, or another Python."""

    def __init__(self, python=(), **changes):
        super().__init__("pretender")
        self.python = (*self.python, *python)
        self.changes, self.asked = changes, 0

    def fingerprint(self):
        self.asked += 1
        changes = {key: value(self.asked) if callable(value) else value for key, value in self.changes.items()}
        return dataclasses.replace(super().fingerprint(), **changes)


def request(artifacts, images, precision="fp32", **changes):
    return Request(artifacts[precision], litert_program, images, CLASSES, **{"latency": PLAN, **changes})


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_outputs_are_those_of_the_same_runtime_here(artifacts, images, precision):
    found = measure(LocalConnection(), request(artifacts, images, precision, latency=None))
    expected = run_tflite(artifacts[precision], images)
    assert found.outputs.shape == (len(images), CLASSES)
    assert found.outputs.dtype == np.float32
    np.testing.assert_array_equal(found.outputs, expected)
    assert found.latency is None
    assert found.latency_ms is None


def test_latency_of_this_machine(artifacts, images):
    found = measure(LocalConnection(), request(artifacts, images))
    assert found.fingerprint.device_kind == "physical"
    assert found.latency.sessions == 2
    assert found.latency.runs >= 60
    assert len(found.latency_ms) == found.latency.runs
    assert 0 < found.latency.min_ms <= found.latency.p50_ms <= found.latency.p90_ms
    assert found.latency.low95_ms <= found.latency.p50_ms <= found.latency.high95_ms
    assert found.latency.load_ms > 0
    assert found.emulation_wall_ms is None
    assert found.instructions_per_inference is None


def test_the_runner_says_what_ran(artifacts, images):
    facts = measure(LocalConnection(), request(artifacts, images, latency=None, threads=2)).runner
    assert (facts["runtime"], facts["threads"]) == ("LiteRT", 2)
    assert facts["version"][0].isdigit()
    assert facts["operators"] == 5
    assert facts["delegated_operators"] + sum(facts["undelegated"].values()) == 5
    assert "latency_ns" not in facts


def test_a_measurement_fits_in_a_manifest(artifacts, images):
    found = measure(LocalConnection(), request(artifacts, images))
    again = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert again["images"] == len(images)
    assert again["fingerprint"]["device_kind"] == "physical"
    assert again["latency"]["runs"] == found.latency.runs
    assert "outputs" not in again
    assert "samples_ns" not in again["latency"]


def test_an_emulated_device_never_gives_milliseconds(artifacts, images):
    device = Pretender(device_kind="emulated", kind_evidence="marker")
    found = measure(device, request(artifacts, images))
    assert found.latency is None
    assert found.latency_ms is None
    assert found.emulation_wall_ms > 0
    assert found.instructions is None
    assert "not counted" in found.notes[0]


def test_a_restart_is_noticed(artifacts, images):
    device = Pretender(boot_id=lambda asked: f"boot-{asked}")
    with pytest.raises(DeviceLostError, match="restarted"):
        measure(device, request(artifacts, images, latency=None))


def test_an_implausible_latency_is_none_and_the_answers_hold(artifacts, images):
    found = measure(LocalConnection(), request(artifacts, images, macs=10**15, peak_gmacs=1.0))
    assert found.latency is None
    assert isinstance(found.no_latency, ImplausibleError)
    assert len(found.outputs) == len(images)


def fake_python(tmp_path, body):
    """A stand-in for the runner: gets the runner's own arguments."""
    path = tmp_path / "fake.py"
    path.write_text(f"import json, sys\nimport numpy as np\n_, _, model, inputs, outputs, *rest = sys.argv\n{body}")
    return (str(path),)


def test_timed_runs_that_answer_differently_are_refused(artifacts, images, tmp_path):
    body = """
timed = "--latency" in rest
np.save(outputs, np.full((len(np.load(inputs)), 5), 2.0 if timed else 1.0, np.float32))
print(json.dumps({"latency_ns": [5] * 30, "load_ns": 1, "first_ns": 1, "settled": True}))
"""
    found = measure(Pretender(fake_python(tmp_path, body)), request(artifacts, images))
    assert found.latency is None
    assert isinstance(found.no_latency, ImplausibleError)
    assert "answered differently" in found.no_latency.what


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("np.zeros((3, 5), np.float32)", "another shape"),
        ("np.full((24, 5), np.nan, np.float32)", "not numbers"),
        ("np.zeros((24, 5), np.float64)", "another shape"),
        ("np.array([{}], object)", "no NumPy file"),  # would need pickle
    ],
)
def test_outputs_that_are_not_what_was_asked_for_are_refused(artifacts, images, tmp_path, value, said):
    # A hostile device writes a pickle; the toolkit must refuse to read it. Nothing here ever loads one.
    body = f"np.save(outputs, {value}, allow_pickle=True)\nprint(json.dumps({{}}))\n"
    with pytest.raises(DeviceRunError, match=said):
        measure(Pretender(fake_python(tmp_path, body)), request(artifacts, images, latency=None))


def test_a_damaged_artifact_fails_on_the_device_with_its_reason(images, tmp_path):
    bad = tmp_path / "model.tflite"
    bad.write_bytes(b"TFL3 but not really" * 10)
    with pytest.raises(DeviceRunError) as caught:
        measure(LocalConnection(), Request(bad, litert_program, images, CLASSES, latency=None))
    assert "exit status" in caught.value.what
    assert "model" in caught.value.why.lower()


def test_images_must_be_images(artifacts, images):
    for bad in (images.ravel(), images[:0], images.astype(np.float64)):
        with pytest.raises(DataError, match="no images"):
            measure(LocalConnection(), request(artifacts, bad))


def test_tvm_needs_its_runner(artifacts, images):
    with pytest.raises(UnsupportedError, match="runner"):
        measure(LocalConnection(), Request(artifacts["fp32"], tvm_program, images, CLASSES))


def test_the_runners_line_of_json():
    assert last_json('INFO: something\n{"a": 1}\n') == {"a": 1}
    for bad in ("", "INFO", "[1]", '{"a": 1}\ntrailing'):
        with pytest.raises(DeviceRunError, match="no result"):
            last_json(bad)


def test_if_one_shard_fails_the_others_are_stopped(tmp_path):
    device, started = LocalConnection(), tmp_path / "started"

    def task(index):
        if index == 0:
            while not started.exists():
                time.sleep(0.01)
            raise DeviceRunError("shard 0 failed", "on purpose", "none")
        return device.run(["sh", "-c", f"echo $$ >{started}.new; mv {started}.new {started}; exec sleep 60"], 60)

    begin = time.monotonic()
    with pytest.raises(DeviceRunError, match="shard 0"):
        side_by_side(task, 2, device)
    assert time.monotonic() - begin < 30
    assert not Path("/proc", started.read_text().strip()).exists()


def test_nothing_is_left_behind(artifacts, images, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measure(LocalConnection(), request(artifacts, images, latency=None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [litert_program, onnx_program])
def test_the_runners_stand_alone(artifacts, images, program):
    connection = LocalConnection()
    asked = request(artifacts, images)
    for path in program(connection, asked, connection.fingerprint()).files().values():
        if path.suffix == ".py":
            unchecked = re.sub(r"if TYPE_CHECKING:\n(?:    .*\n|\n)+", "", path.read_text())
            assert "import ofa_edge" not in unchecked
            assert "from ofa_edge" not in unchecked
