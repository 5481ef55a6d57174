"""Names that hide serials and hosts: stable, secret, and never the serial."""

import re
import threading

import pytest

from ofa_edge.device.connections.privacy import pseudonym, scrub, secret_path
from ofa_edge.errors import OutputError


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_names_are_stable_and_tell_nothing():
    name = pseudonym("9A2B1FFAZ0")
    assert re.fullmatch(r"device-[0-9a-f]{12}", name)
    assert pseudonym("9A2B1FFAZ0") == name
    assert pseudonym("9A2B1FFAZ1") != name
    assert secret_path().stat().st_mode & 0o777 == 0o600


def test_another_users_names_are_others(monkeypatch, tmp_path):
    name = pseudonym("9A2B1FFAZ0")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    assert pseudonym("9A2B1FFAZ0") != name


def test_many_at_once_agree_on_one_secret():
    found = set()
    threads = [threading.Thread(target=lambda: found.add(pseudonym("x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [path.name for path in secret_path().parent.iterdir()] == ["pseudonyms.key"]


def test_a_damaged_secret_is_not_replaced_in_silence():
    pseudonym("x")
    secret_path().write_bytes(b"short")
    with pytest.raises(OutputError, match="damaged"):
        pseudonym("x")


def test_messages_are_scrubbed():
    text = "adb does not list 9A2B1F at pi.local or pi.local.lan"
    said = scrub(text, ["9A2B1F", "pi.local", "", "pi.local.lan"])
    assert said == (
        f"adb does not list {pseudonym('9A2B1F')} at {pseudonym('pi.local')} or {pseudonym('pi.local.lan')}"
    )
