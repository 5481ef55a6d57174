"""Emulated devices behind a real sshd and real adb: arm64 systems of their own, that leave nothing behind."""

import dataclasses
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.connections.cores import emulated_core
from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.device.emulation.emulated_system import system as module
from ofa_edge.device.emulation.emulated_system.connections import open_emulated_adb, open_emulated_ssh
from ofa_edge.device.emulation.emulated_system.system import EmulatedSystem, Orders, system_unavailable
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import Request
from ofa_edge.errors import DeviceLostError, DeviceRunError, DeviceTimeoutError, ToolMissingError, UnsupportedError
from ofa_edge.export.tflite.convert import run_tflite


@pytest.fixture(params=["emulated_pi", "emulated_phone"])
def device(request):
    return request.getfixturevalue(request.param)


def test_a_pi_says_what_it_is(emulated_pi):
    found = emulated_pi.fingerprint()
    assert (found.device_kind, found.kind_evidence) == ("emulated", "marker /etc/ofa-edge-device")
    assert (found.arch, found.cpu, found.model) == ("aarch64", "cortex-a72", "ofa-edge emulated cortex-a72")
    assert "bookworm" in found.os
    assert "cpu cortex-a72" in found.emulator
    assert emulated_pi.run(["id", "-un"], 30).stdout == "pi\n"


def test_a_phone_says_what_it_is(emulated_phone):
    found = emulated_phone.fingerprint()
    assert (found.device_kind, found.arch, found.cpu) == ("emulated", "aarch64", "cortex-a76")
    assert found.model == "ofa-edge emulated cortex-a76"  # by getprop: it has no /etc/os-release
    assert found.build == "ofa-edge/emulated/emulated:no-android"
    assert emulated_phone.run(["getprop", "ro.kernel.qemu"], 30).stdout == "1\n"
    assert emulated_phone.run(["id", "-un"], 30).stdout == "shell\n"
    assert emulated_phone.run(["sh", "-c", "echo $KSH_VERSION; toybox --version || readlink $(which head)"], 30).stdout


def test_programs_start_programs_and_all_are_arm64(device):
    code = "import os, subprocess; print(os.environ['QEMU_CPU'], subprocess.check_output(['uname', '-m'], text=True))"
    core = device.fingerprint().cpu
    assert device.run([*device.python, "-c", code], 60).stdout == f"{core} aarch64\n\n"


def test_it_sees_neither_this_machines_files_nor_its_own_system_writable(device, tmp_path):
    (tmp_path / "secret").write_text("x")
    assert device.run(["cat", str(tmp_path / "secret")], 30, check=False).returncode != 0
    with pytest.raises(DeviceRunError, match="touch failed"):
        device.run(["touch", "/usr/bin/x"], 30)
    assert not Path("/proc/sys/fs/binfmt_misc/ofa-edge-arm64").exists()  # registered in its namespace only


def test_arm64_arithmetic_over_a_real_transport(device, artifacts, images):
    found = measure(device, Request(artifacts["int8"], litert_program, images, CLASSES, threads=4))
    np.testing.assert_array_equal(found.outputs, run_tflite(artifacts["int8"], images))
    assert found.latency is None
    assert found.fingerprint.device_kind == "emulated"
    assert "only --device emulated" in found.notes[0]
    left = device.run(["ls", str(device.folder)], 30).stdout
    assert "ofa-edge" not in left


def test_a_limit_stops_the_program_there(device):
    with pytest.raises(DeviceTimeoutError):
        device.run(["sleep", "61.5"], 1)
    for _ in range(50):
        if "61.5" not in device.run(["ps", "-A", "-o", "args"], 30).stdout:
            return
        time.sleep(0.1)
    pytest.fail("still running on the device")


@pytest.mark.parametrize("start", [open_emulated_ssh, open_emulated_adb])
def test_a_device_whose_power_is_cut_is_lost(emulated_pi, start):
    connection = start("cortex-a72")  # not the shared one
    try:
        connection.run(["true"], 30)
        cut = threading.Timer(1.0, connection.system.kill)
        cut.start()
        with pytest.raises(DeviceLostError, match="no connection to emulated"):
            connection.run(["sleep", "30"], 60)
        cut.join()
        with pytest.raises(DeviceLostError):
            connection.run(["true"], 10)
    finally:
        connection.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", connection.system.port)) != 0


@pytest.mark.parametrize("start", [open_emulated_ssh, open_emulated_adb])
def test_power_cut_while_a_file_is_sent(start, emulated_pi, tmp_path):
    with (tmp_path / "big").open("wb") as file:
        file.truncate(400_000_000)
    connection = start("cortex-a72")
    connection.backoff_s = 0.0
    try:
        with connection.workdir() as work:
            threading.Timer(0.5, connection.system.kill).start()
            with pytest.raises(DeviceLostError):
                connection.push(tmp_path / "big", work / "big")
    finally:
        connection.close()


@pytest.mark.parametrize("start", [open_emulated_ssh, open_emulated_adb])
def test_a_full_disk_there_is_a_failure_there(start, emulated_pi, tmp_path):
    (tmp_path / "big").write_bytes(bytes(20_000_000))
    connection = start("cortex-a72", size_mb=8)
    try:
        with connection.workdir() as work:
            with pytest.raises(DeviceRunError) as caught:
                connection.push(tmp_path / "big", work / "big")
            assert connection.run(["ls", str(work / "big")], 30, check=False).returncode != 0  # only the .part
        assert "ofa-edge" not in connection.run(["ls", str(work.parent)], 30).stdout
    finally:
        connection.close()
    assert not isinstance(caught.value, DeviceLostError)


def test_a_changed_host_key_is_refused(emulated_pi, tmp_path):
    known = tmp_path / "known_hosts"
    text = emulated_pi.address.known_hosts_file.read_text()
    key = text.split()[2]
    changed = key[:-6] + ("AAAAAA" if key[-6:] != "AAAAAA" else "BBBBBB")
    known.write_text(text.replace(key, changed))
    address = dataclasses.replace(emulated_pi.address, known_hosts_file=known)
    connection = SshConnection("pi", address)
    try:
        with pytest.raises(DeviceLostError) as caught:
            connection.run(["true"], 30)
    finally:
        connection.close()
    assert "by hand" in caught.value.hint


def test_what_the_kernel_refuses_is_named(device, monkeypatch, tmp_path):
    del device  # its system is there
    monkeypatch.setattr(module, "find_static_qemu", lambda: tmp_path / "none")
    monkeypatch.setattr(module, "qemu_version", lambda qemu: "QEMU")
    core = emulated_core("cortex-a72")
    with pytest.raises(UnsupportedError) as caught:
        EmulatedSystem(core, Orders(1000, (), {}, command=("/usr/bin/true",)))
    assert "binfmt_misc refused" in caught.value.why
    assert "--device emulated" in caught.value.hint
    assert "binfmt_misc refused" in system_unavailable(core)


def test_no_static_qemu_names_the_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(ToolMissingError) as caught:
        module.find_static_qemu()
    assert "qemu-user-static" in caught.value.hint
    with pytest.raises(UnsupportedError, match="x86_64"):
        open_emulated_ssh("skylake", "x86_64")
