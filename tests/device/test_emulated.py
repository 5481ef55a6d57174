"""The emulated device: arm64 arithmetic against this machine's, limits, honesty. Skipped where it cannot be had."""

import numpy as np
import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.emulated import emulation_available, find_qemu, open_emulated
from ofa_edge.device.measure import measure
from ofa_edge.device.protocol import Request
from ofa_edge.errors import DeviceRunError, DeviceTimeoutError, ToolMissingError, UnsupportedError
from ofa_edge.export.tflite import run_tflite


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
    request = Request(artifacts[precision], "tflite", images, CLASSES, threads=4)
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
