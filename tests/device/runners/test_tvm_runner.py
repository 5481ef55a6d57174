import json
import os
import subprocess

import numpy as np
import pytest
from platformdirs import user_cache_path
from runner_net import CLASSES

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.emulation.emulated import open_emulated
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import tvm_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.device.runners.build import RUNNER, build_tvm_runner
from ofa_edge.errors import ToolMissingError
from ofa_edge.export.tvm.compile import compile_cpu
from ofa_edge.files import sha256_file
from ofa_edge.verify.parity import compare

CORTEX_A72 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 4}


@pytest.fixture(scope="module")
def model(net):
    return compile_cpu(net, net.with_name("model.so"), {"kind": "llvm", "num-cores": 1}).file.path


@pytest.fixture(scope="module")
def expected(net, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(net, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": inputs[i : i + 1]})[0] for i in range(len(inputs))])


@pytest.fixture
def images(tmp_path, inputs):
    path = tmp_path / "in.f32"
    inputs.tofile(path)
    return path


def call(runner, *arguments):
    command = [str(runner / RUNNER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def facts(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_one_pass_over_all_images(runner, model, images, expected, tmp_path):
    out = tmp_path / "out.f32"
    said = facts(call(runner, model, images, out, "--shape", "1,3,6,5", "--threads", 2))
    logits = np.fromfile(out, np.float32).reshape(-1, CLASSES)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert said.pop("load_ns") > 0
    assert said.pop("model_sha256") == sha256_file(model)
    told = {"runtime": "TVM", "version": "0.27.0.post1", "device": "cpu", "threads": 2, "outputs": len(expected)}
    assert said == told


def test_latency_session(runner, model, images, expected, tmp_path):
    out = tmp_path / "out.f32"
    plan = ["--min-runs", 7, "--min-seconds", 0, "--warmup-runs", 25, "--warmup-seconds", 0, "--warmup-tolerance", 1e9]
    said = facts(call(runner, model, images, out, "--shape", "1,3,6,5", "--latency", *plan))
    assert len(said["latency_ns"]) == 7
    assert min(said["latency_ns"]) > 0
    assert said["first_ns"] > 0
    assert (said["warmup_runs"], said["settled"]) == (25, True)
    np.testing.assert_allclose(np.fromfile(out, np.float32), expected[0], atol=1e-5)


def test_heat_and_clocks_are_watched_once_a_second(runner, model, images, tmp_path):
    plan = ["--min-runs", 1, "--min-seconds", 1.2, "--warmup-limit", 0]
    ticks = facts(call(runner, model, images, tmp_path / "out", "--shape", "1,3,6,5", "--latency", *plan))["watch"]
    assert len(ticks) == 2
    assert ticks[0][0] < 1000 <= ticks[1][0]
    for _, heat, clocks, ceilings in ticks:
        assert heat is None or heat > -300_000
        assert len(clocks) == len(ceilings)


def test_memory_pass(runner, model, images, tmp_path):
    said = facts(call(runner, model, images, tmp_path / "out", "--shape", "1,3,6,5", "--memory", 3))
    assert 2**20 < said["memory_before"] < said["peak_memory"] < 2**30
    assert "latency_ns" not in said


def test_profile_pass_times_each_function(runner, model, images, expected, tmp_path):
    out = tmp_path / "out"
    said = facts(call(runner, model, images, out, "--shape", "1,3,6,5", "--profile", 5))
    np.testing.assert_allclose(np.fromfile(out, np.float32), expected[0], atol=1e-5)
    assert said["runs"] == 5
    names = [name for name, _, _ in said["profile"]]
    assert any("conv2d" in name for name in names)
    assert len(set(names)) == len(names)
    assert all(calls % 5 == 0 and calls > 0 and ns > 0 for _, calls, ns in said["profile"])


def test_the_process_stays_on_its_cores(runner, model, images, tmp_path):
    core = min(os.sched_getaffinity(0))
    facts(call(runner, model, images, tmp_path / "out", "--shape", "1,3,6,5", "--cores", core))
    done = call(runner, model, images, tmp_path / "out", "--shape", "1,3,6,5", "--cores", f"{core},1000")
    assert (done.returncode, "--cores" in done.stderr) == (2, True)


def test_warm_up_that_never_settles_ends_at_its_limit(runner, model, images, tmp_path):
    plan = ["--min-runs", 1, "--min-seconds", 0, "--warmup-limit", 0.05, "--warmup-seconds", 9]
    said = facts(call(runner, model, images, tmp_path / "out", "--shape", "1,3,6,5", "--latency", *plan))
    assert said["settled"] is False
    assert said["warmup_runs"] > 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "needed: MODEL.so INPUTS OUTPUTS"),
        (["{model}", "{images}", "{out}"], 2, "--shape is missing"),
        (["{model}", "{images}", "{out}", "--shape", "2,3,6,5"], 2, "batch 1"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,5x"], 2, "not a number"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,0"], 2, "dimension of zero"),
        (["{model}", "{images}", "{out}", "more", "--shape", "1,3,6,5"], 2, "one file too many"),
        (["{model}", "{images}", "{out}", "--shape"], 2, "needs a value"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,5", "--fast"], 2, "unknown option --fast"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,5", "--latency", "--count", "1"], 2, "exclude"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,5", "--threads", "-1"], 2, "zero or more"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,6,7"], 1, "not images of 126"),
        (["{model}", "{images}", "{out}", "--shape", "1,3,5,6"], 1, "shape"),
        (["{model}", "{out}.none", "{out}", "--shape", "1,3,6,5"], 1, "cannot read"),
        (["{out}.so", "{images}", "{out}", "--shape", "1,3,6,5"], 1, "Failed to load"),
        (["{images}", "{images}", "{out}", "--shape", "1,3,6,5"], 1, "f32"),
        (["{model}", "{images}", "/dev/full", "--shape", "1,3,6,5"], 1, "is the disk full?"),
    ],
)
def test_errors_are_told_on_stderr(runner, model, images, tmp_path, arguments, status, words):
    names = {"model": model, "images": images, "out": tmp_path / "out"}
    done = call(runner, *(argument.format(**names) for argument in arguments))
    assert done.returncode == status
    assert done.stderr.startswith("tvm_runner: ")
    assert words in done.stderr
    assert not done.stdout


def test_local_device_measures_with_it(runner, model, inputs, expected):
    plan = LatencyPlan(sessions=2, min_runs=20, min_seconds=0.0, warmup_seconds=0.0, warmup_limit_seconds=1.0)
    measurement = measure(LocalConnection(), Request(model, tvm_program, inputs, CLASSES, runner=runner, latency=plan))
    np.testing.assert_allclose(measurement.outputs, expected, atol=1e-5)
    assert measurement.latency.sessions == 2
    assert measurement.runner["runtime"] == "TVM"


def test_emulated_cortex_a72_answers_the_same(emulated, net, inputs, expected):
    try:
        runner = build_tvm_runner("aarch64", user_cache_path("ofa-edge"))
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    model = compile_cpu(net, net.with_name("a72.so"), CORTEX_A72).file.path
    measurement = measure(emulated, Request(model, tvm_program, inputs, CLASSES, runner=runner))
    np.testing.assert_allclose(measurement.outputs, expected, atol=1e-5)
    assert measurement.fingerprint.device_kind == "emulated"
    assert measurement.latency is None
    if measurement.instructions is None:
        pytest.skip(measurement.notes[0])
    macs = 8 * 3 * 9 * 6 * 5
    assert 0.1 * macs < measurement.instructions.per_inference < 100 * macs
    assert measurement.instructions.spread < 0.1


def test_emulated_cortex_a76_sums_in_float16(emulated, net, inputs, expected):
    del emulated  # there is an emulator
    device = open_emulated("cortex-a76")
    try:
        runner = build_tvm_runner("aarch64", user_cache_path("ofa-edge"))
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    target = {**CORTEX_A72, "mcpu": "cortex-a76", "num-cores": 1}
    snr_db = {}
    for precision in ("fp32", "fp16"):
        model = compile_cpu(net, net.with_name(f"a76-{precision}.so"), target, precision=precision).file.path
        outputs = measure(device, Request(model, tvm_program, inputs, CLASSES, runner=runner)).outputs
        snr_db[precision] = compare(expected, outputs).snr_db
    assert snr_db["fp32"] > 100
    assert 40 < snr_db["fp16"] < 80, "half precision is near, and not fp32"
