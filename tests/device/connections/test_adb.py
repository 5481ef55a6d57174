"""The adb connection: the real client against the emulated device's daemon, and devices that adb cannot use."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from adb_rig import WHY_NOT, Phone
from limits_kept import check_a_limit_stops_the_program
from tiny_tflite import CLASSES

from ofa_edge.device.connections.adb import AdbConnection
from ofa_edge.device.connections.adb_server import AdbAddress, AdbServer, is_transport_failure
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import (
    ConfigError,
    DeviceLostError,
    DeviceRebootedError,
    DeviceRunError,
    ToolMissingError,
)
from ofa_edge.export.tflite.convert import run_tflite

needs_adb = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    phone = Phone(tmp_path_factory.mktemp("adb-home"))
    yield phone
    phone.stop()


@pytest.fixture(scope="module")
def device(phone):
    connection = phone.connect(python=(sys.executable,))
    yield connection
    connection.close()


@needs_adb
def test_files_and_words_arrive_as_they_left(device, tmp_path):
    words = ["a b", "$HOME", "; ls", "'quoted\"", "*", "", "back\\slash", "line\nbreak", "-x"]
    payload = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(payload)
    code = "import os, sys; print(sys.argv[1:], os.environ['OFA_TEST']); sys.stderr.write('told')"
    with device.workdir() as work:
        device.push(tmp_path / "file", work / "file")
        device.pull(work / "file", tmp_path / "back")
        done = device.run([sys.executable, "-c", code, *words], 30, {"OFA_TEST": "$x y"})
    assert (tmp_path / "back").read_bytes() == payload
    assert done.stdout == f"{words} $x y\n"
    assert done.stderr == "told"
    assert not Path(work).exists()
    assert device.fingerprint().device_kind == "physical"


@needs_adb
def test_exit_statuses_come_back(device):
    assert [device.run(["sh", "-c", f"exit {code}"], 10, check=False).returncode for code in (0, 1, 7, 255)] == [
        0,
        1,
        7,
        255,
    ]
    with pytest.raises(DeviceRunError, match="exit status 1") as caught:
        device.run(["sh", "-c", "echo error: closed >&2; exit 1"], 10)  # what adb itself would say
    assert caught.value.why == "error: closed"
    with pytest.raises(DeviceRunError, match=r"exit status 12[67]"):
        device.run(["/no/such/program"], 10)


@needs_adb
def test_a_measurement_over_adb(device, artifacts, images):
    plan = LatencyPlan(sessions=1, min_runs=20, min_seconds=0, warmup_seconds=0, warmup_limit_seconds=0.2)
    found = measure(device, Request(artifacts["int8"], litert_program, images, CLASSES, latency=plan))
    np.testing.assert_array_equal(found.outputs, run_tflite(artifacts["int8"], images))


@needs_adb
def test_a_limit_stops_the_program_at_the_other_end(device, tmp_path):
    check_a_limit_stops_the_program(device, tmp_path)


@needs_adb
def test_a_file_that_cannot_be_written_there_is_no_lost_device(device, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with device.workdir() as work:
        Path(work / "file.part").mkdir()
        Path(work / "file.part/file").mkdir()  # adb pushes into a folder
        with pytest.raises(DeviceRunError, match="directory"):
            device.push(tmp_path / "file", work / "file")


@needs_adb
def test_a_device_that_goes_away_is_lost(tmp_path):
    phone = Phone(tmp_path)
    connection = phone.connect()
    try:
        assert connection.run(["echo", "here"], 10).stdout == "here\n"
        with pytest.raises(DeviceLostError, match="no connection to phone"):  # the shell dies: nothing ends the line
            connection.run(["sh", "-c", "kill -9 $(ps -o ppid= $PPID)"], 10)
        assert connection.run(["echo", "back"], 10).stdout == "back\n"
        phone.stop()
        connection._call("disconnect", f"127.0.0.1:{phone.port}")
        with pytest.raises(DeviceLostError, match="no connection to phone") as caught:
            connection.run(["echo", "gone"], 10)
        assert "cable" in caught.value.hint
    finally:
        connection.close()


@needs_adb
def test_a_device_that_restarted_says_so(phone, monkeypatch, tmp_path):
    boot = tmp_path / "boot_id"
    boot.write_text("one\n")
    monkeypatch.setattr("ofa_edge.device.connections.adb._BOOT_ID", str(boot))
    connection = phone.connect()
    try:
        connection.run(["true"], 10)
        boot.write_text("two\n")
        with pytest.raises(DeviceRebootedError, match="restarted"):
            connection.run(["true"], 10)
        connection.run(["true"], 10)  # told once; cleaning up must work
    finally:
        connection.close()


FAKE = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift 2; done
case $1 in
  devices) printf 'List of devices attached\\n%b' "$FAKE_DEVICES";;
  *) echo "$FAKE_SAYS" >&2; exit 1;;
esac
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """An adb that lists these devices and fails with these words."""
    program = tmp_path / "bin/adb"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def fake(devices, says=""):
        monkeypatch.setenv("FAKE_DEVICES", devices)
        monkeypatch.setenv("FAKE_SAYS", says)

    return fake


@pytest.mark.parametrize(
    ("devices", "serial", "why", "hint"),
    [
        ("", None, "lists none", "USB debugging"),
        ("a1\\tdevice\\nb2\\toffline\\n", None, r"a1 \(device\), b2 \(offline\)", 'serial = "a1"'),
        ("a1\\tunauthorized\\n", "a1", "does not trust", "Allow USB debugging"),
        ("a1\\tunauthorized\\n", None, "does not trust", "Allow USB debugging"),
        ("a1\\toffline\\n", "a1", "does not answer", "reconnect"),
        ("a1\\tno permissions (user in plugdev group); see [x]\\n", "a1", "may not open", "plugdev"),
        ("a1\\tdevice\\n", "b2", "does not list b2", "cable"),
        ("a1\\tbootloader\\n", "a1", "bootloader", "fastboot"),
        ("a1\\thost\\n", "a1", "'host'", "adb devices"),
    ],
)
def test_each_state_has_its_own_fix(fake, devices, serial, why, hint):
    fake(devices)
    connection = AdbConnection("phone", AdbAddress(serial=serial))
    with pytest.raises(DeviceLostError) as caught:
        connection.run(["true"], 10)
    import re

    assert "phone" in caught.value.what
    assert re.search(why, caught.value.why)
    assert hint in caught.value.hint


def test_a_device_without_the_shell_protocol_is_too_old(fake):
    fake("a1\\tdevice\\n", "error: target doesn't support PTY args -Tt")
    with pytest.raises(DeviceRunError, match="too old"):
        AdbConnection("phone", AdbAddress()).run(["true"], 10)


def test_no_adb_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError) as caught:
        AdbConnection("phone", AdbAddress())
    assert "apt install adb" in caught.value.hint


@pytest.mark.parametrize("changes", [{"serial": "-s"}, {"serial": "a b"}, {"host": "-x"}, {"serial": ""}])
def test_names_that_adb_could_misread_are_refused(changes):
    with pytest.raises(ConfigError, match=r"not a (serial|host)"):
        AdbAddress(**changes)
    with pytest.raises(ConfigError, match="both"):
        AdbAddress(serial="a", host="b")


def test_the_environment_cannot_choose_another_device():
    given = {"ANDROID_SERIAL": "other", "HOME": "/home/me", "ANDROID_ADB_SERVER_PORT": "1"}
    assert AdbServer().environment(given) == {"HOME": "/home/me", "ANDROID_ADB_SERVER_PORT": "1"}
    assert AdbServer(port=7, home=Path("/h")).environment(given) == {"HOME": "/h", "ANDROID_ADB_SERVER_PORT": "7"}


def test_what_the_device_said_is_not_the_transports():
    assert is_transport_failure("adb: error: failed to read copy response: EOF")
    assert is_transport_failure("error: device 'x' not found")
    assert not is_transport_failure("adb: error: failed to copy 'a' to 'b': remote No space left on device")
    assert AdbAddress(host="fe80::1").network == "[fe80::1]:5555"
