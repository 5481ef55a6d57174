"""How the runners are called and what is read of them."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.programs import (
    LiteRtProgram,
    OnnxProgram,
    TvmProgram,
    check_logits,
    last_json,
    onnx_program,
    with_count,
    with_latency,
    with_threads,
)
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import DeviceRunError, UnsupportedError

WORK = PurePosixPath("/tmp/ofa-edge.x")


def test_litert_reads_images_in_tflites_layout(tmp_path, images):
    program = LiteRtProgram(("python3", "-S"), tmp_path / "any.tflite")
    program.write_inputs(images, tmp_path / "in.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "in.npy"), images.transpose(0, 2, 3, 1))
    assert program.command(WORK, "in.npy", "out.npy") == [
        *("python3", "-S", "/tmp/ofa-edge.x/litert_runner.py", "/tmp/ofa-edge.x/model.tflite"),
        *("/tmp/ofa-edge.x/in.npy", "/tmp/ofa-edge.x/out.npy"),
    ]
    assert set(program.files()) == {"litert_runner.py", "runner_passes.py", "model.tflite"}


def test_onnx_runtime_reads_images_in_their_own_layout(tmp_path, images):
    program = OnnxProgram(("python3",), tmp_path / "any.onnx")
    program.write_inputs(images, tmp_path / "in.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "in.npy"), images)
    assert set(program.files()) == {"onnx_runner.py", "runner_passes.py", "model.onnx"}


def test_a_phone_has_no_python_for_onnx_runtime():
    connection = LocalConnection()
    phone = replace(connection.fingerprint(), build="google/flame")
    request = Request(Path("any.onnx"), onnx_program, np.zeros((1, 1, 2, 2), np.float32), 5)
    with pytest.raises(UnsupportedError, match="ONNX artifacts"):
        onnx_program(connection, request, phone)
    assert isinstance(onnx_program(connection, request, connection.fingerprint()), OnnxProgram)


def test_tvm_reads_raw_images_in_their_own_layout(tmp_path, images):
    program = TvmProgram(tmp_path, tmp_path / "any.so", ((1, *images.shape[1:]),), classes=5)
    program.write_inputs(images, tmp_path / "in.f32")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "in.f32", "<f4").reshape(images.shape), images)
    assert program.command(WORK, "in.f32", "out.f32")[-2:] == ["--shape", "1,2,12,12"]
    assert program.environment(WORK) == {"LD_LIBRARY_PATH": "/tmp/ofa-edge.x"}
    assert program.files()["model.so"] == tmp_path / "any.so"
    assert len(program.files()) == 4
    (tmp_path / "libofa_edge_cuda.so").touch()
    assert program.files()["libofa_edge_cuda.so"] == tmp_path / "libofa_edge_cuda.so"
    logits = np.arange(15, dtype=np.float32).reshape(3, 5)
    logits.tofile(tmp_path / "out.f32")
    np.testing.assert_array_equal(program.read_outputs(tmp_path / "out.f32"), logits)


def test_both_take_the_same_options():
    plan = LatencyPlan(min_runs=7, min_seconds=1.5)
    argv = with_latency(with_threads(["runner"], 4), plan)
    assert argv[:4] == ["runner", "--threads", "4", "--latency"]
    options = dict(zip(argv[4::2], argv[5::2], strict=True))
    assert (options["--min-runs"], options["--min-seconds"], options["--warmup-tolerance"]) == ("7", "1.5", "0.02")
    assert with_count(["runner"], 5) == ["runner", "--count", "5"]


def test_logits_are_checked():
    good = np.zeros((2, 5), np.float32)
    assert check_logits(good, 2, 5) is good
    for bad in (good[:1], good.T, good.astype(np.float16), np.full((2, 5), np.inf, np.float32)):
        with pytest.raises(DeviceRunError):
            check_logits(bad, 2, 5)


def test_a_file_cut_short_is_noticed(tmp_path):
    np.zeros(7, "<f4").tofile(tmp_path / "out.f32")
    program = TvmProgram(tmp_path, tmp_path / "any.so", ((1, 1, 2, 2),), classes=5)
    with pytest.raises(DeviceRunError, match="another shape"):
        check_logits(program.read_outputs(tmp_path / "out.f32"), 2, 5)
    (tmp_path / "out.npy").write_bytes(b"not numpy")
    with pytest.raises(DeviceRunError, match="no NumPy file"):
        LiteRtProgram(("python3",), tmp_path).read_outputs(tmp_path / "out.npy")


def _npy(header, data=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04 as a zip file begins",
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 5)}"),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 5)}", b"\0" * 39),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 5)}", b"\0" * 40),
        _npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 5)}", b"\0" * 80),
        _npy("{'descr': '<f4', 'fortran_order'"),
        _npy("[" * 5000),
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 30 + ",)}"),
    ],
)
def test_outputs_that_are_garbage_are_an_error_of_ours(tmp_path, content):
    (tmp_path / "out.npy").write_bytes(content)
    with pytest.raises(DeviceRunError):
        check_logits(LiteRtProgram(("python3",), tmp_path).read_outputs(tmp_path / "out.npy"), 2, 5)


@pytest.mark.parametrize(
    "line", ['{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_a_line_that_is_no_json_is_no_result(line):
    with pytest.raises(DeviceRunError, match="no result"):
        last_json(line)
