import doctest
import os

import pytest
from hostile_names import NAMES
from hypothesis import given
from hypothesis import strategies as st

import ofa_edge.device.registry.devices_edit as module
from ofa_edge.cli import main
from ofa_edge.device.registry.devices_edit import add_device, parse_option, table
from ofa_edge.device.registry.devices_file import load_devices
from ofa_edge.errors import ConfigError, UsageError


@pytest.fixture
def path(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "devices.toml"
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(path))
    return path


def test_a_device_is_added_and_comments_stay(path):
    add_device("pi", "ssh", {"host": "pi.local", "port": 2222})
    before = path.read_text() + "# the phone on my desk\n"
    path.write_text(before)
    add_device("phone", "adb", {"serial": "9A2B1F"})
    assert path.read_text().startswith(before.rstrip())
    assert {name: (device.kind, device.where) for name, device in load_devices().items()} == {
        "pi": ("ssh", "pi.local"),
        "phone": ("adb", "9A2B1F"),
    }


@pytest.mark.parametrize(
    ("name", "kind", "options", "error", "said"),
    [
        ("pi", "ssh", {"host": "other"}, UsageError, "already"),
        ("local", "ssh", {"host": "x"}, UsageError, "built in"),
        ("x", "telnet", {}, UsageError, "known: ssh, adb"),
        ("x", "ssh", {}, ConfigError, "missing key 'devices.x.host'"),
        ("x", "ssh", {"host": "-oProxyCommand=id"}, ConfigError, "not a host name"),
        ("x", "adb", {"serial": "-s"}, ConfigError, "not a serial"),
        ("x", "adb", {"hots": "y"}, ConfigError, "unknown key"),
        *((name, "ssh", {"host": "x"}, ConfigError, "not a device name") for name in NAMES),
        ("x", "ssh", {'a"b': "x"}, ConfigError, "not a plain name"),
    ],
)
def test_what_does_not_fit_changes_nothing(path, name, kind, options, error, said):
    add_device("pi", "ssh", {"host": "pi.local"})
    before = path.read_text()
    with pytest.raises(error) as caught:
        add_device(name, kind, options)
    assert said in str(caught.value)
    assert path.read_text() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["devices.toml"]


def test_a_file_that_is_no_text_is_told_and_stays(path):
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        add_device("pi", "ssh", {"host": "pi.local"})
    assert path.read_bytes() == b"\xff\xfe"


@given(st.text())
def test_any_value_is_read_back_as_it_was_written(value):
    import tomllib

    if any(0xD800 <= ord(letter) < 0xE000 for letter in value):
        return  # half a character is no text
    assert tomllib.loads(table("a.b", "ssh", {"host": value}))["devices"]["a.b"]["host"] == value


def test_options_of_the_command_line():
    assert parse_option("port=7") == ("port", 7)
    assert parse_option("on=true") == ("on", True)
    assert parse_option("host=a=b c") == ("host", "a=b c")
    assert parse_option("version=1.5") == ("version", "1.5")
    with pytest.raises(UsageError):
        parse_option("port")


def test_the_command(path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["devices", *arguments])
        return ended.value.code

    assert run("add", "pixel", "--kind", "adb", "--serial", "9A2B", "--python", "/data/python3") == 0
    assert "devices probe pixel" in capsys.readouterr().out
    assert run("list") == 0
    said = capsys.readouterr().out
    assert "adb 9A2B" in said
    assert "--device emulated-ssh" in said
    assert run("add", "pixel", "--kind", "adb") == 2
    assert path.exists()


def test_examples():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_where_devices_stand_is_for_their_owner_alone(tmp_path, monkeypatch, umask):
    monkeypatch.delenv("OFA_EDGE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = os.umask(umask)
    try:
        add_device("pi", "ssh", {"host": "pi.local"}).chmod(0o644)  # as an earlier version left it
        written = add_device("phone", "ssh", {"host": "pi.local"})
    finally:
        os.umask(before)
    assert written == tmp_path / "config" / "ofa-edge" / "devices.toml"
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700


def test_a_shared_folder_of_devices_stays_shared(path):
    path.parent.mkdir(mode=0o755)
    add_device("pi", "ssh", {"host": "pi.local"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o755
