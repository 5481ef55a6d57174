import pytest

from ofa_edge.device import debian
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
