"""Leases: one holder at a time, dead and silent holders lose, two machines on one device see each other."""

import json
import os
import subprocess
import sys
import time
from pathlib import PurePosixPath

import pytest
from filelock import FileLock

from ofa_edge.device.conditions.identity import SERIALS
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring import lease as leases
from ofa_edge.device.measuring.lease import hold, lease_key
from ofa_edge.device.protocol import Completed
from ofa_edge.errors import DeviceBusyError, DeviceRunError, OutputError


class Remote(LocalConnection):
    """This machine, as if behind a wire."""

    kind = "ssh"

    def __init__(self, name="pi", serial="serial-0"):
        super().__init__(name)
        self.serial = serial

    def run(self, argv, timeout_s, env=None, check=True):
        if argv[0] == "head" and self.serial:  # a board with a serial number; its C string ends in a zero
            said = f"==> {SERIALS[0]} <==\n{self.serial}\0\n==> {SERIALS[1]} <==\nshared\n"
            return Completed(tuple(argv), 1, said, "", 0.0)
        return super().run(argv, timeout_s, env, check)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv(leases.LEASES_VARIABLE, str(tmp_path / "leases"))
    monkeypatch.setattr(leases, "_LINK", PurePosixPath(tmp_path / "on-device"))
    return tmp_path


def lease_file(folders, device):
    return folders / "leases" / f"{lease_key(device)}.json"


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_second_is_refused_and_told_who_holds_it(folders):
    with hold(Remote()), pytest.raises(DeviceBusyError) as caught, hold(Remote()):
        pass
    assert caught.value.reason == "leased"
    assert f"process {os.getpid()} of" in caught.value.why
    with hold(Remote()):
        assert (folders / "on-device").is_symlink()
    assert not (folders / "on-device").is_symlink()
    assert not lease_file(folders, Remote()).exists()


def test_a_device_is_one_whatever_its_name():
    assert lease_key(Remote("a", "serial-1")) == lease_key(Remote("b", "serial-1"))
    assert lease_key(Remote("a", "serial-1")) != lease_key(Remote("a", "serial-2"))
    assert "serial" not in lease_key(Remote("a", "serial-1"))
    assert lease_key(LocalConnection("a")) != lease_key(LocalConnection("b"))


def test_other_devices_are_free():
    with hold(LocalConnection()), hold(Remote()):
        pass


def test_the_lease_of_a_dead_process_is_taken_over(folders):
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with hold(LocalConnection()):
        path = lease_file(folders, LocalConnection())
        rewrite(path, pid=int(done.stdout), token="dead")
        with hold(LocalConnection()):
            pass


def test_a_process_of_the_same_number_is_another(folders):
    with hold(LocalConnection()):
        rewrite(lease_file(folders, LocalConnection()), started=1.0)
        with hold(LocalConnection()):
            pass


def test_a_silent_holder_loses_its_lease_and_is_told(folders, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with hold(LocalConnection()) as first:
        path = lease_file(folders, LocalConnection())
        beat = json.loads(path.read_text())["beat"]
        deadline = time.monotonic() + 10
        while json.loads(path.read_text())["beat"] == beat and time.monotonic() < deadline:
            time.sleep(0.02)
        first.check()
        rewrite(path, token="another", beat=time.time() - leases.SILENT_S - 1)
        assert first._lost.wait(10)
        with pytest.raises(DeviceBusyError) as caught:
            first.check()
        assert caught.value.reason == "lease-lost"
        with hold(LocalConnection()):
            pass


def test_the_lease_of_a_holder_elsewhere_counts_while_it_beats(folders):
    with hold(LocalConnection()):
        path = lease_file(folders, LocalConnection())
        rewrite(path, host="another", pid=1, started=0.0, beat=time.time())
        with pytest.raises(DeviceBusyError, match="taken"), hold(LocalConnection()):
            pass


DAMAGES = ("{", "[]", "", "\0", '{"pid": 1}', "[" * 5000, "9" * 5000)
STRANGE = {"pid": "1", "beat": "now", "started": None, "since": 1e300, "token": ["a"], "host": 3}


@pytest.mark.parametrize("content", [*DAMAGES, *STRANGE])
def test_a_damaged_lease_holds_others_off_until_nobody_can_be_behind_it(folders, content):
    path = lease_file(folders, LocalConnection())
    with hold(LocalConnection()):
        rewrite(path, **{"host": "elsewhere", **({content: STRANGE[content]} if content in STRANGE else {})})
        if content in DAMAGES:
            path.write_text(content)
        with pytest.raises(DeviceBusyError) as caught, hold(LocalConnection()):
            pass
        assert "damaged" in caught.value.why
        long_ago = time.time() - 2 * leases.SILENT_S
        os.utime(path, (long_ago, long_ago))
        with hold(LocalConnection()):
            pass


@pytest.mark.parametrize("answer", ["nan", "inf", "9" * 5000, "\u00b2\u00b2", "1e3", "-1", "tomorrow"])
def test_a_clock_that_tells_no_time_makes_no_lease_old(folders, answer):
    class OddClock(Remote):
        def run(self, argv, timeout_s, env=None, check=True):
            if argv[:2] == ["date", "+%s"]:
                return Completed(tuple(argv), 0, f"{answer}\n", "", 0.0)
            return super().run(argv, timeout_s, env, check)

    (folders / "on-device").symlink_to("0123456789ab-1-1")
    with pytest.raises(DeviceBusyError), hold(OddClock()):
        pass
    assert str((folders / "on-device").readlink()) == "0123456789ab-1-1"


def _age(link, seconds):
    when = time.time() - seconds
    os.utime(link, (when, when), follow_symlinks=False)


def test_another_machine_is_seen_on_the_device(folders):
    link = folders / "on-device"
    link.symlink_to("0123456789ab-1-1")
    with pytest.raises(DeviceBusyError, match="taken") as caught, hold(Remote()):
        pass
    assert "another machine" in caught.value.why
    assert link.is_symlink()
    assert not lease_file(folders, Remote()).exists()  # nothing stays held
    _age(link, leases.DEVICE_SILENT_S + 60)
    with hold(Remote()) as lease:
        _age(link, leases.DEVICE_SILENT_S + 60)
        lease.check()
        assert link.lstat().st_mtime > time.time() - 60
    assert not link.is_symlink()


def test_what_a_dead_run_of_this_machine_left_on_the_device_is_taken_over(folders):
    link = folders / "on-device"
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for owner in (
        f"{leases._machine()}-{int(done.stdout)}-1700000000",
        f"{leases._machine()}-{os.getpid()}-1700000000",
    ):
        link.symlink_to(owner)
        with hold(Remote()):
            assert str(link.readlink()) != owner
        assert not link.is_symlink()
    me = leases._started(os.getppid())
    link.symlink_to(f"{leases._machine()}-{os.getppid()}-{me:.0f}")  # one that lives
    with pytest.raises(DeviceBusyError, match="taken"), hold(Remote()):
        pass


def test_a_lease_that_was_taken_over_is_not_removed_with_ours(folders):
    link = folders / "on-device"
    with hold(Remote()):
        link.unlink()
        link.symlink_to("0123456789ab-1-1")
    assert link.is_symlink()


def test_a_device_that_takes_no_files_is_not_called_busy(folders, monkeypatch):
    monkeypatch.setattr(leases, "_LINK", PurePosixPath(folders / "no" / "such" / "place"))
    with pytest.raises(DeviceRunError, match="ln failed"), hold(Remote()):
        pass


def test_a_lease_file_that_another_process_keeps_is_an_error_with_three_parts(folders, monkeypatch):
    monkeypatch.setattr(leases, "_GUARD_S", 0.05)
    lock = lease_file(folders, LocalConnection()).with_suffix(".lock")
    lock.parent.mkdir()
    with FileLock(lock), pytest.raises(DeviceBusyError) as caught, hold(LocalConnection()):
        pass
    assert (caught.value.reason, str(lock) in caught.value.why) == ("leased", True)


def test_a_beat_that_cannot_be_written_is_made_up_for_by_the_next(folders, monkeypatch):
    monkeypatch.setattr(leases, "_GUARD_S", 0.01)
    monkeypatch.setattr(leases, "BEAT_S", 0.01)
    with hold(LocalConnection()) as lease:
        path = lease_file(folders, LocalConnection())
        with FileLock(path.with_suffix(".lock")):
            time.sleep(0.2)
        beat = json.loads(path.read_text())["beat"]
        deadline = time.monotonic() + 10
        while json.loads(path.read_text())["beat"] == beat and time.monotonic() < deadline:
            time.sleep(0.02)
        assert json.loads(path.read_text())["beat"] > beat
        lease.check()


def test_a_folder_of_leases_that_cannot_be_made_is_said(folders, monkeypatch):
    (folders / "file").write_text("")
    monkeypatch.setenv(leases.LEASES_VARIABLE, str(folders / "file" / "leases"))
    with pytest.raises(OutputError, match="lease cannot be written"), hold(LocalConnection()):
        pass
