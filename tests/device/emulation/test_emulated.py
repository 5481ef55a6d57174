"""The emulated device: arm64 arithmetic against this machine's, limits, honesty. Skipped where it cannot be had."""

import shutil

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_tflite import CLASSES, SHAPE

from ofa_edge.device.emulation.emulated import emulation_available, find_qemu, open_emulated
from ofa_edge.device.emulation.sysroot import cache_folder
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program, tvm_program
from ofa_edge.device.protocol import Request
from ofa_edge.device.runners.build import build_tvm_runner
from ofa_edge.errors import DeviceRunError, DeviceTimeoutError, ToolMissingError, UnsupportedError
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tvm.compile import compile_cpu
from ofa_edge.targets import load_target


def test_it_says_on_itself_that_it_is_emulated(emulated):
    found = emulated.fingerprint()
    assert found.device_kind == "emulated"
    assert found.kind_evidence == "marker /etc/ofa-edge-device"
    assert (found.arch, found.cpu) == ("aarch64", "cortex-a72")
    assert "bookworm" in found.os
    assert "QEMU" in found.emulator
    assert "cortex-a72" in found.emulator


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_arm64_arithmetic_agrees_with_this_machines(emulated, artifacts, images, precision):
    request = Request(artifacts[precision], litert_program, images, CLASSES, threads=4)
    found = measure(emulated, request)
    expected = run_tflite(artifacts[precision], images)
    if precision == "int8":
        np.testing.assert_array_equal(found.outputs, expected)
    else:
        np.testing.assert_allclose(found.outputs, expected, rtol=1e-4, atol=1e-5)
    assert found.latency is None
    assert found.emulation_wall_ms > 0
    assert found.runner["threads"] == 1
    assert found.runner["delegated_operators"] >= 4
    if found.instructions is None:  # no gcc, or a QEMU without plugins: then the reason is told
        assert "not counted" in found.notes[0]
    else:
        # 0.05 M MACs, four to an instruction, plus what the interpreter and the call from Python take
        assert 20_000 < found.instructions_per_inference < 2_000_000
        assert found.instructions.spread < 0.2
        assert found.instructions.threads == 1


def tiny_onnx(path):
    """conv 3x3, relu, mean, dense: [1, 2, 12, 12] -> [1, 5]."""
    random = np.random.default_rng(11)
    shapes = {"kernel": (4, 2, 3, 3), "dense": (5, 4), "bias": (5,)}
    weights = [numpy_helper.from_array(random.normal(size=shapes[name]).astype("f"), name) for name in shapes]
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["a"], kernel_shape=[3, 3], pads=[1] * 4, name="conv"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], name="pool"),
        helper.make_node("Flatten", ["c"], ["d"], name="flatten"),
        helper.make_node("Gemm", ["d", "dense", "bias"], ["logits"], transB=1, name="classifier"),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("input", (1, *SHAPE)), ("logits", (1, CLASSES)))
    ]
    graph = helper.make_graph(nodes, "main", ends[0], ends[1], weights)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-g++") is None, reason="g++-aarch64-linux-gnu is not installed")
@pytest.mark.parametrize("way", ["emulated", "emulated_phone"])  # directly, and behind adb
def test_a_tvm_artifact_runs_in_the_compiled_runner(way, request, images, tmp_path):
    device = request.getfixturevalue(way)
    target = load_target("raspberry-pi-4")
    tiny_onnx(tmp_path / "net.onnx")
    compile_cpu(tmp_path / "net.onnx", tmp_path / "model.so", target.runtime.tvm.target)
    try:
        runner = build_tvm_runner("aarch64", cache_folder())
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    found = measure(device, Request(tmp_path / "model.so", tvm_program, images, CLASSES, runner=runner))
    np.testing.assert_allclose(found.outputs, run_onnx(tmp_path / "net.onnx", images), rtol=1e-4, atol=1e-5)
    assert found.latency is None
    assert found.runner["runtime"] == "TVM"
    assert found.instructions is None or found.instructions_per_inference > 2_000


def test_it_sees_nothing_of_this_machines_environment(emulated, monkeypatch):
    monkeypatch.setenv("OFA_SECRET", "x")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    code = "import os, sys; print(sorted(os.environ)); print(sys.path[1:])"
    said = emulated.run([*emulated.python, "-c", code], 60).stdout
    assert "OFA_SECRET" not in said
    assert "/elsewhere" not in said


def test_a_limit_stops_it(emulated):
    with pytest.raises(DeviceTimeoutError):
        emulated.run(["sleep", "60"], 1)


def test_what_it_lacks_is_named(emulated):
    with pytest.raises(DeviceRunError, match="no program 'vcgencmd'"):
        emulated.run(["vcgencmd", "get_throttled"], 10)


def test_other_architectures_are_refused():
    assert "only aarch64" in emulation_available("riscv64")
    with pytest.raises(UnsupportedError, match="x86_64"):
        open_emulated("skylake", "x86_64")


def test_no_qemu_names_the_debian_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError) as caught:
        find_qemu()
    assert "qemu-user-static" in caught.value.hint
    assert "qemu-user-static" in emulation_available("aarch64")
