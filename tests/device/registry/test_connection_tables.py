"""Kinds of device that other packages bring, by entry point."""

from importlib.metadata import EntryPoint

import pytest

import ofa_edge.device.registry.connection_tables as module
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.registry.devices_file import load_devices, open_connection
from ofa_edge.errors import ConfigError
from ofa_edge.targets import load_target


def bench(name, options):
    """A factory as a package would have it."""
    if "port" not in options:
        raise KeyError("port")
    if options["port"] == 1:
        raise ConfigError("port 1 is not ours", "key 'port'", "port = 7")
    connection = LocalConnection(name)
    connection.port = options["port"]
    return connection


@pytest.fixture
def device(monkeypatch, tmp_path):
    points = [EntryPoint("bench", f"{__name__}:bench", module.ENTRY_POINTS)]
    points += [EntryPoint("ssh", "nobody:nothing", module.ENTRY_POINTS)]  # a built-in kind cannot be replaced
    monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))

    def device(text):
        (tmp_path / "devices.toml").write_text(f"schema = 1\n[devices.mine]\n{text}\n")
        return open_connection("mine", load_target("raspberry-pi-4"))

    return device


def test_the_factory_gets_the_name_and_the_other_keys(device):
    connection = device('kind = "bench"\nport = 7')
    assert (connection.name, connection.port) == ("mine", 7)
    assert load_devices()["mine"].kind == "bench"


def test_what_the_factory_refuses_is_an_error_of_the_table(device):
    with pytest.raises(ConfigError, match="port 1 is not ours"):
        device('kind = "bench"\nport = 1')
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        device('kind = "bench"')
    assert "KeyError" in caught.value.why
    assert "connection_kit" in caught.value.hint


def test_an_unknown_kind_names_those_there_are(device):
    with pytest.raises(ConfigError) as caught:
        device('kind = "telnet"')
    assert "ssh, adb, bench" in caught.value.hint
    assert "devices.mine.kind" in caught.value.why


def test_built_in_kinds_stay(device):
    assert type(device('kind = "ssh"\nhost = "pi"')).__name__ == "SshConnection"
