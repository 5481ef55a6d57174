import pytest

from ofa_edge.device.emulation import debian
from ofa_edge.errors import DeviceError


def test_a_named_mirror_goes_before_the_machines_own(monkeypatch):
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://mirror.example/")
    text = debian._sources("bookworm")
    assert text.count("http://mirror.example/debian ") == 2
    assert "http://mirror.example/debian-security bookworm-security main" in text


def test_no_mirror_for_the_suite_is_told(monkeypatch):
    monkeypatch.delenv(debian.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(debian, "_host_mirrors", lambda: {"trixie": "http://mirror.example/debian"})
    with pytest.raises(DeviceError, match="no Debian mirror") as caught:
        debian._sources("bookworm")
    assert debian.MIRROR_VARIABLE in caught.value.hint


@pytest.fixture
def calls(monkeypatch):
    """Tool calls that are not made: (argv, folder)."""
    made = []

    def run_tool(argv, timeout_s, failed, good=(0,), folder=None):
        made.append((argv, folder))
        if "download" in argv:
            (folder / f"{argv[-1]}_1.0_all.deb").write_bytes(b"")

    monkeypatch.delenv(debian.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(debian, "run_tool", run_tool)
    return made


def test_a_package_of_an_older_suite_comes_from_the_mirror_of_this_one(tmp_path, calls, monkeypatch):
    known = {"bookworm-security": "http://mirror.example/security", "bookworm": "http://mirror.example/debian"}
    monkeypatch.setattr(debian, "_host_mirrors", lambda: known)
    archive = debian.download_package(tmp_path / "apt", "bullseye", "dalvik-exchange")
    assert archive.name == "dalvik-exchange_1.0_all.deb"
    assert (tmp_path / "apt/sources.list").read_text().endswith(" http://mirror.example/debian bullseye main\n")
    assert calls[-1][0][-2:] == ["download", "dalvik-exchange"]
    assert calls[-1][1] == tmp_path / "apt"


def test_without_any_mirror_no_package_is_downloaded(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(debian, "_host_mirrors", lambda: {})
    with pytest.raises(DeviceError, match="no Debian mirror"):
        debian.download_package(tmp_path / "apt", "bullseye", "dalvik-exchange")
    assert calls == []
