"""Real faults on a real sshd: killed in the middle of a push and of a run, a disk that is full, a deaf program."""

import shutil
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from ssh_rig import Server, needs_sshd

from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.errors import DeviceLostError, DeviceRunError, DeviceTimeoutError

pytestmark = needs_sshd
UNSHARE = shutil.which("unshare")
WAIT_S = 20.0


@pytest.fixture
def disk(tmp_path):
    """Where the device's private folders are made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path, disk):
    made = []

    def start_server(prefix=()):
        folder = tmp_path / f"sshd-{len(made)}"
        folder.mkdir()
        server = Server(folder, prefix)
        device = SshConnection(f"bench-{len(made)}", server.address(), folder=str(disk))
        made.append((server, device))
        return server, device

    yield start_server
    for server, device in made:
        device.close()
        server.stop()


def when(condition, act):
    """Do `act` in another thread as soon as `condition` gives something; the thread."""

    def wait():
        end = time.monotonic() + WAIT_S
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def cleaned_at_the_next_start(server, device, disk):
    """What was left, and that it is gone once the device is there again and is used again."""
    left = list(disk.iterdir())
    server.start()
    with device.workdir() as work:
        assert device.run(["ls", str(disk)], 10).stdout.split() == [work.name]
    assert list(disk.iterdir()) == []
    return left


def test_killed_in_the_middle_of_a_push(start, disk, tmp_path):
    server, device = start()
    _, other = start()
    big = tmp_path / "big"
    big.write_bytes(b"\0" * 100_000_000)
    arrived = []

    def some_of_it():
        arrived[:] = [path.stat().st_size for path in disk.glob("*/big.part")]
        return any(arrived)

    thread = when(some_of_it, server.kill)
    with pytest.raises(DeviceLostError, match="no connection to bench-0"), device.workdir() as work:
        device.push(big, work / "big")
    thread.join()
    assert 0 < arrived[0] < 100_000_000
    assert not list(disk.glob("*/big"))  # half a file never has the file's name
    assert other.run(["echo", "here"], 10).stdout == "here\n"
    assert [path.name for path in cleaned_at_the_next_start(server, device, disk)] == [work.name]


def test_killed_in_the_middle_of_a_run(start, disk, tmp_path):
    server, device = start()
    pid = tmp_path / "pid"
    thread = when(lambda: pid.exists() and pid.read_text().strip(), server.kill)
    begin = time.monotonic()
    with pytest.raises(DeviceLostError, match="no connection"), device.workdir():
        device.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 300"], 300)
    assert time.monotonic() - begin < 60  # not the limit of the run: the break itself is noticed
    thread.join()
    left_running = psutil.Process(int(pid.read_text()))
    left_running.kill()  # its `timeout` would end it at its limit; no test waits that long
    assert len(cleaned_at_the_next_start(server, device, disk)) == 1


def test_another_host_key_in_the_middle(start, disk, tmp_path):
    """Between two commands of one session another machine stands at the address: nothing more is sent to it."""
    server, device = start()
    source = tmp_path / "source"
    source.write_text("secret weights")
    with device.workdir() as work:
        device.run(["true"], 10)
        server.kill()
        server.change_key()
        server.start()
        with pytest.raises(DeviceLostError, match="bench-0 shows another host key") as caught:
            device.push(source, work / "source")
        assert "another device answers" in caught.value.why
        assert "ssh" in caught.value.hint
        assert list((disk / work.name).iterdir()) == []
    server.kill()
    server.change_key_back()
    assert [path.name for path in cleaned_at_the_next_start(server, device, disk)] == [work.name]


def _mounts() -> bool:
    """Whether we may mount in a namespace of our own."""
    argv = [UNSHARE or "", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return UNSHARE is not None and subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_a_disk_that_is_full(start, disk, tmp_path):
    if not _mounts():
        pytest.skip("no mount in a namespace of our own is allowed here")
    script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    _, device = start((UNSHARE, "-m", "sh", "-c", script, "sh", str(disk)))
    big, small = tmp_path / "big", tmp_path / "small"
    big.write_bytes(b"\0" * 4_000_000)
    small.write_bytes(b"small")
    with device.workdir() as work:
        with pytest.raises(DeviceRunError, match="disk full on bench-0"):
            device.push(big, work / "big")
        assert device.run(["ls", str(work)], 10).stdout.split() == []  # the part that fitted is gone: others need room
        device.push(small, work / "small")
    assert device.run(["ls", str(disk)], 10).stdout == ""


def test_a_program_that_does_not_stop_when_told(start, tmp_path, monkeypatch):
    monkeypatch.setattr("ofa_edge.device.connections.shell_line.KILL_AFTER_S", 1)
    _, device = start()
    pid = tmp_path / "pid"
    deaf = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.2; done"
    with pytest.raises(DeviceTimeoutError, match="ran past its time limit"):
        device.run(["sh", "-c", deaf], 1)
    end = time.monotonic() + WAIT_S
    while Path(f"/proc/{pid.read_text().strip()}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
