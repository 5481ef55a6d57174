"""Folders that a cut-off run left behind are removed by the next one, and no others."""

import dataclasses
import os
import subprocess
import sys

import pytest

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.connections.workdirs import abandoned, claim, token_of
from ofa_edge.errors import DeviceError, DeviceLostError, DeviceRunError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Bench(LocalConnection):
    """A device whose connection can break."""

    broken = False

    def run(self, argv, timeout_s, env=None, check=True):
        if self.broken:
            raise DeviceLostError("gone", "cable", "plug it in")
        return super().run(argv, timeout_s, env, check)


def bench(folder):
    return Bench(folder=str(folder))


def test_the_next_run_removes_what_a_lost_device_kept(tmp_path, caplog):
    disk = tmp_path / "disk"
    disk.mkdir()
    first = bench(disk)
    with first.workdir() as work:
        first.broken = True
    assert "left behind" in caplog.text
    assert [path.name for path in disk.iterdir()] == [work.name]
    with bench(disk).workdir() as other:
        assert [path.name for path in disk.iterdir()] == [other.name]
    assert list(disk.iterdir()) == []
    assert abandoned("local") == frozenset()


def test_folders_in_use_and_those_of_others_stay(tmp_path):
    theirs = tmp_path / "ofa-edge.0123456789ab.xyz"
    theirs.mkdir()
    with bench(tmp_path).workdir() as one, bench(tmp_path).workdir() as two:
        assert {one.name, two.name, theirs.name} <= {path.name for path in tmp_path.iterdir()}
    assert theirs.exists()


def test_a_token_is_abandoned_only_after_its_owner():
    with claim("bench") as held:
        held.kept = True
        assert abandoned("bench") == frozenset()
    assert abandoned("bench") == {held.token}
    assert abandoned("another") == frozenset()
    with claim("bench"):
        pass
    assert abandoned("bench") == {held.token}


def test_what_was_left_long_ago_is_forgotten(tmp_path):
    with claim("bench") as held:
        held.kept = True
    os.utime(tmp_path / "cache/ofa-edge/workdirs" / held.token, (0, 0))
    assert abandoned("bench") == frozenset()
    assert list((tmp_path / "cache/ofa-edge/workdirs").iterdir()) == []


def test_a_killed_run_leaves_its_token(tmp_path):
    script = "import os; from ofa_edge.device.connections.workdirs import claim; held = claim('bench')"
    script += "; held.__enter__(); os._exit(9)"
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert len(abandoned("bench")) == 1


@pytest.mark.parametrize("name", ["ofa-edge.short.x", "ofa-edge.0123456789ab.", "x", "ofa-edge.0123456789ab.a/b", ""])
def test_only_names_of_ours_have_a_token(name):
    assert token_of(name) is None
    assert token_of("ofa-edge.0123456789ab.Xy9") == "0123456789ab"


class Garbled(LocalConnection):
    """A device that makes the folder, and whose answer is lost or damaged on the way."""

    def __init__(self, answer, folder):
        super().__init__(folder=str(folder))
        self.answer = answer

    def run(self, argv, timeout_s, env=None, check=True):
        done = super().run(argv, timeout_s, env, check)
        if argv[0] == "mktemp" and self.answer is not None:
            return dataclasses.replace(done, stdout=self.answer(done.stdout.strip()))
        if argv[0] == "mktemp":
            raise DeviceLostError("gone", "cable", "plug it in")
        return done


@pytest.mark.parametrize(
    "answer", [None, lambda made: made[:-3], lambda made: "?", lambda made: "/tmp", lambda made: ""]
)
def test_a_folder_whose_name_was_lost_is_removed_by_the_next_run(tmp_path, answer):
    disk = tmp_path / "disk"
    disk.mkdir()
    first = Garbled(answer, disk)
    with pytest.raises(DeviceError), first.workdir():
        pass
    assert len(list(disk.iterdir())) == 1
    with bench(disk).workdir():
        assert len(list(disk.iterdir())) == 1
    assert list(disk.iterdir()) == []


def test_a_folder_that_cannot_be_removed_stands_in_nobodys_way(tmp_path):
    class Stubborn(Bench):
        def run(self, argv, timeout_s, env=None, check=True):
            if argv[0] == "rm" and stuck.name in argv[-1]:
                raise DeviceRunError("rm failed", "read-only", "remount it")
            return super().run(argv, timeout_s, env, check)

    with claim("local") as held:
        held.kept = True
    stuck = tmp_path / f"ofa-edge.{held.token}.abcdefghij"
    stuck.mkdir()
    device = Stubborn(folder=str(tmp_path))
    with device.workdir() as work:
        assert work.name != stuck.name
    assert abandoned("local") == {held.token}  # and it is tried again by the next one
