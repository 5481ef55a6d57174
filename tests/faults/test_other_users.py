"""Folders and names in which somebody else has a hand: what lies there is neither believed nor followed."""

import contextlib
import os
import stat

import pytest

from ofa_edge.cache import StageCache
from ofa_edge.device.connections import workdirs
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.emulation.sysroot import cache_folder
from ofa_edge.device.measuring.lease import hold, leases_folder
from ofa_edge.errors import OutputError
from ofa_edge.files import append_json, private_folder, write_bytes
from ofa_edge.output import output_folder, reserved

ANOTHER = 54321


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """Where everything of the user's own lies."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    return tmp_path


def leased(homes):
    with hold(LocalConnection("board")):
        pass


def cached(homes):
    StageCache(homes / "stages").run("stage", {}, lambda folder: (folder / "file").write_bytes(b"") and None)


def claimed(homes):
    with workdirs.claim("device"):
        pass


def built(homes):
    with reserved(homes / "out"):
        pass


def closed(homes):
    private_folder(homes / "private")


USES = {
    "cache": (cached, lambda homes: homes / "stages"),
    "lease": (leased, lambda homes: leases_folder()),
    "work folders on devices": (claimed, lambda homes: homes / "XDG_CACHE_HOME" / "ofa-edge" / "workdirs"),
    "programs for devices": (lambda homes: cache_folder(), lambda homes: homes / "XDG_CACHE_HOME" / "ofa-edge"),
    "builds at work": (built, lambda homes: homes / "XDG_STATE_HOME" / "ofa-edge" / "outputs"),
    "keys": (closed, lambda homes: homes / "private"),
}


@pytest.mark.parametrize("whose", ["another user's", "everybody's"])
@pytest.mark.parametrize("use", USES)
def test_a_folder_that_others_write_is_refused(homes, use, whose):
    act, where = USES[use]
    folder = where(homes)
    folder.mkdir(parents=True)
    act(homes)
    if whose == "everybody's":
        folder.chmod(0o1777)
    elif os.geteuid():
        pytest.skip("only root gives folders away")
    else:
        os.chown(folder, ANOTHER, ANOTHER)
    before = sorted(folder.rglob("*"))
    with pytest.raises(OutputError, match="not a folder of your own") as caught:
        act(homes)
    assert (str(ANOTHER) if whose != "everybody's" else "everybody") in caught.value.why
    assert sorted(folder.rglob("*")) == before


def test_the_systems_folder_is_taken(homes, monkeypatch):
    """Of root, as in a container whose user is another one."""
    (homes / "stages").mkdir()
    owner = (homes / "stages").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + ANOTHER)
    if owner:
        with pytest.raises(OutputError, match="not a folder of your own"):
            cached(homes)
    else:
        cached(homes)


@pytest.mark.parametrize("write", [write_bytes, lambda path, data: append_json(path, [1])])
def test_no_link_is_written_through(tmp_path, write):
    theirs, path = tmp_path / "theirs", tmp_path / "ours"
    theirs.write_text("theirs")
    path.symlink_to(theirs)
    with contextlib.suppress(OutputError):
        write(path, b"ours")
        assert not path.is_symlink()
    assert theirs.read_text() == "theirs"


def test_no_link_in_the_cache_is_followed(homes):
    cached(homes)
    root = homes / "stages"
    (entry,) = (path.parent for path in root.glob("stage/*/index.json"))
    moved = entry.rename(homes / "elsewhere")
    entry.symlink_to(moved)
    (root / ".partial" / f"{entry.name}.000000000000").symlink_to(moved)
    cached(homes)
    assert not entry.is_symlink()
    assert sorted(path.name for path in moved.iterdir()) == ["file", "index.json"]
    assert list((root / ".partial").iterdir()) == []


def test_names_of_files_in_the_making_are_not_to_be_guessed(tmp_path, monkeypatch):
    seen = set()
    real = os.open

    def watched(path, flags, *mode, **options):
        if str(path).endswith(".part"):
            assert flags & os.O_EXCL
            assert flags & os.O_NOFOLLOW
            seen.add(str(path))
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", watched)
    for _ in range(3):
        write_bytes(tmp_path / "file", b"")
    assert len(seen) == 3


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o002])
def test_the_umask_is_kept(tmp_path, umask):
    before = os.umask(umask)
    try:
        with output_folder(tmp_path / "out") as folder:
            write_bytes(folder / "manifest.json", b"{}")
        private_folder(tmp_path / "keys")
        write_bytes(tmp_path / "keys" / "key", b"", private=True)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["manifest.json"] == 0o666 & ~umask
    assert (modes["keys"], modes["key"]) == (0o700, 0o600)
    assert modes["out"] == 0o777 & ~umask
