"""What every connection must do, shown on the local one: limits, verified transfers, confinement, clean ends."""

import os
import sys
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.connections.process import TransferDamagedError
from ofa_edge.errors import DeviceLostError, DeviceRunError, DeviceTimeoutError, OutputError

PYTHON = sys.executable


@pytest.fixture
def local():
    connection = LocalConnection()
    yield connection
    connection.close()


class Flaky(LocalConnection):
    """A connection that damages or loses the first transfers."""

    backoff_s = 0.0

    def __init__(self, bad, fault):
        super().__init__()
        self.left, self.fault, self.sent = bad, fault, 0

    def _spoil(self, path):
        self.sent += 1
        if self.left:
            self.left -= 1
            if self.fault == "lost":
                raise DeviceLostError("gone", "cable", "plug it in")
            with Path(path).open("r+b") as file:
                file.write(b"?")

    def _send(self, local, remote):
        super()._send(local, remote)
        self._spoil(remote)

    def _fetch(self, remote, local):
        super()._fetch(remote, local)
        self._spoil(local)


def test_a_file_travels_there_and_back(local, tmp_path):
    source, back = tmp_path / "source.bin", tmp_path / "back.bin"
    source.write_bytes(os.urandom(100_000))
    with local.workdir() as work:
        local.push(source, work / "data")
        assert local.run(["ls", "-A", str(work)], 10).stdout == "data\n"  # no .part is left
        local.pull(work / "data", back)
    assert back.read_bytes() == source.read_bytes()


def test_the_executable_bit_is_kept(local, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho ran with $1\n")
    program.chmod(0o755)
    with local.workdir() as work:
        local.push(program, work / "program")
        assert local.run([str(work / "program"), "$HOME; ls"], 10).stdout == "ran with $HOME; ls\n"


@pytest.mark.parametrize("fault", ["damaged", "lost"])
@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_bad_transfer_is_tried_again(tmp_path, fault, direction):
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(b"payload")
    flaky = Flaky(0, fault)
    with flaky.workdir() as work:
        flaky.left = 2 if direction == "push" else 0
        flaky.push(source, work / "data")
        flaky.left, flaky.sent = (2 if direction == "pull" else 0), 0
        flaky.pull(work / "data", back)
        assert flaky.sent == (3 if direction == "pull" else 1)
    assert back.read_bytes() == b"payload"


def test_a_file_that_stays_damaged_never_gets_its_name(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"payload")
    flaky = Flaky(99, "damaged")
    with flaky.workdir() as work:
        with pytest.raises(TransferDamagedError, match="SHA-256"):
            flaky.push(source, work / "data")
        assert not Path(work / "data").exists()
        flaky.left = 0
        flaky.push(source, work / "data")
        flaky.left = 99
        with pytest.raises(TransferDamagedError):
            flaky.pull(work / "data", tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("name", ["../escape", "sub/file", "/etc/passwd", "-rf", "a b", ".hidden", "x\ny"])
def test_paths_outside_the_work_folder_are_refused(local, tmp_path, name):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with local.workdir() as work:
        with pytest.raises(OutputError, match="refused"):
            local.push(source, work / name)
        with pytest.raises(OutputError, match="refused"):
            local.pull(work / name, tmp_path / "back")
    with pytest.raises(OutputError, match="refused"):  # the folder is gone
        local.push(source, work / "data")


def test_the_work_folder_is_private_and_is_removed_whatever_happens(local, tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    def fail():
        with local.workdir() as work:
            seen.append(work)
            assert Path(work).stat().st_mode & 0o777 == 0o700
            local.push(tmp_path / "file", work / "file")
            raise KeyboardInterrupt

    seen: list[PurePosixPath] = []
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not Path(seen[0]).exists()


def test_a_program_that_fails_says_how(local):
    with pytest.raises(DeviceRunError) as caught:
        local.run([PYTHON, "-c", "import sys; sys.exit('no such model')"], 10)
    assert "exit status 1" in caught.value.what
    assert "no such model" in caught.value.why
    assert local.run([PYTHON, "-c", "raise SystemExit(3)"], 10, check=False).returncode == 3


def test_a_crash_is_named(local):
    with pytest.raises(DeviceRunError, match="SIGSEGV"):
        local.run([PYTHON, "-c", "import os; os.kill(os.getpid(), 11)"], 10)


def test_a_missing_program_is_an_error_of_ours(local):
    with pytest.raises(DeviceRunError, match="no-such-program"):
        local.run(["no-such-program"], 10)


def test_environment_reaches_the_program(local):
    code = "import os; print(os.environ['OFA_TEST'])"
    assert local.run([PYTHON, "-c", code], 10, {"OFA_TEST": "a b;c"}).stdout == "a b;c\n"


def test_a_limit_stops_the_program_and_its_children(local, tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {pids}; wait"
    with pytest.raises(DeviceTimeoutError, match=r"more than 0\.5 s"):
        local.run(["sh", "-c", script], 0.5)
    for pid in pids.read_text().split():
        assert _gone(int(pid))


def test_abort_ends_what_runs_in_another_thread(local, tmp_path):
    caught = []

    def run():
        try:
            local.run(["sh", "-c", f"touch {tmp_path}/started; exec sleep 60"], 60)
        except DeviceRunError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    local.abort()
    thread.join(10)
    assert not thread.is_alive()
    assert "SIGKILL" in caught[0].what


def test_output_larger_than_a_pipe_does_not_hang(local):
    done = local.run([PYTHON, "-c", "import sys; print('x' * 300000); print('y' * 300000, file=sys.stderr)"], 20)
    assert len(done.stdout) == len(done.stderr) == 300_001


def _gone(pid):
    """Whether a process has ended; one whose parent died with it waits for init to reap it."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_of_output_is_stopped_and_named(local, stream):
    flood = f"import sys\nwhile True: sys.{stream}.write('x' * 1000000)"
    with pytest.raises(DeviceRunError, match="does not stop talking") as caught:
        local.run([PYTHON, "-c", flood], 600)
    assert "64 MiB" in caught.value.why


def test_a_long_answer_that_ends_too_late_is_one_as_well(local):
    with pytest.raises(DeviceRunError, match="does not stop talking"):
        local.run([PYTHON, "-c", "import sys; sys.stdout.write('x' * (70 << 20))"], 600)


def test_a_file_without_end_is_stopped_and_named(local, tmp_path, monkeypatch):
    monkeypatch.setattr("ofa_edge.device.connections.process._MOST_WRITTEN", 10_000_000)
    # The limit is laid on the program from outside, once it runs: it waits for it, or it may be faster.
    flood = (
        "import resource, sys, time\n"
        "while resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000_000: time.sleep(0.01)\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "file = open(sys.argv[1], 'wb', buffering=0)\n"
        "while True: file.write(bytes(1 << 20))"
    )
    with pytest.raises(DeviceRunError, match="does not stop talking") as caught:
        local.run([PYTHON, "-c", flood, str(tmp_path / "endless")], 600)
    assert "in one file" in caught.value.why
    assert (tmp_path / "endless").stat().st_size == 10_000_000


@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_what_is_pulled_is_a_file_or_an_error(tmp_path, kind):
    class Other(LocalConnection):
        def _fetch(self, remote, local):
            local.unlink()
            if kind == "folder":
                (local / "inside").mkdir(parents=True)
            else:
                local.symlink_to("/etc/passwd" if kind == "link" else "/nowhere")

    connection = Other()
    source = tmp_path / "source"
    source.write_text("x")
    with connection.workdir() as work:
        connection.push(source, work / "data")
        with pytest.raises(DeviceRunError, match="no file"):
            connection.pull(work / "data", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
