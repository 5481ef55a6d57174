"""Folders that a cut-off run left behind are removed by the next one, and no others."""

import os
import subprocess
import sys

import pytest

from ofa_edge.device.local import LocalConnection
from ofa_edge.device.workdirs import abandoned, claim, token_of
from ofa_edge.errors import DeviceLostError


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
    connection = Bench()
    connection._folder = type(connection._folder)(str(folder))
    return connection


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
    script = "import os; from ofa_edge.device.workdirs import claim; held = claim('bench')"
    script += "; held.__enter__(); os._exit(9)"
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert len(abandoned("bench")) == 1


@pytest.mark.parametrize("name", ["ofa-edge.short.x", "ofa-edge.0123456789ab.", "x", "ofa-edge.0123456789ab.a/b", ""])
def test_only_names_of_ours_have_a_token(name):
    assert token_of(name) is None
    assert token_of("ofa-edge.0123456789ab.Xy9") == "0123456789ab"
