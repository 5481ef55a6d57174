import pytest

from ofa_edge.device.conditions import Expected
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.device.registry.devices_file import devices_path, expected_of, load_devices, open_connection
from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.targets import load_target

GOOD = """
schema = 1
[devices.pi]
kind = "ssh"
host = "raspberrypi.local"
user = "pi"
port = 2222
identity_file = "~/.ssh/pi"
python = "/home/pi/litert/bin/python"
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    def write(text):
        path = tmp_path / "devices.toml"
        path.write_text(text)
        monkeypatch.setenv("OFA_EDGE_DEVICES", str(path))
        return path

    return write


@pytest.fixture(scope="module")
def pi():
    return load_target("raspberry-pi-4")


def test_a_device_of_the_users(write, pi):
    write(GOOD)
    connection = open_connection("pi", pi)
    try:
        assert isinstance(connection, SshConnection)
        assert (connection.name, connection.kind) == ("pi", "ssh")
        assert connection.python == ("/home/pi/litert/bin/python",)
    finally:
        connection.close()


def test_built_in_devices_need_no_file(monkeypatch, tmp_path, pi):
    monkeypatch.delenv("OFA_EDGE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert devices_path() == tmp_path / "ofa-edge" / "devices.toml"
    assert load_devices() == {}
    assert open_connection("none", pi) is None
    assert isinstance(open_connection("local", pi), LocalConnection)


def test_a_target_that_has_no_emulator_says_so():
    with pytest.raises(UnsupportedError, match="emulation"):
        open_connection("emulated", load_target("jetson-nano"))


def test_an_unknown_device_names_the_nearest(write, pi):
    path = write(GOOD)
    with pytest.raises(UnknownNameError) as caught:
        open_connection("pj", pi)
    assert "pi" in caught.value.why
    assert str(path) in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema = 1\n[devices.pi\n", "cannot read"),
        ("[devices.pi]\nkind='ssh'\nhost='h'", "missing key 'schema'"),
        ("schema = 2", "schema"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nhots='h'", "unknown key 'devices.pi.hots'"),
        ("schema = 1\n[devices.pi]\nkind='ssh'", "missing key 'devices.pi.host'"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nport='22'", "devices.pi.port"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nport=0", "devices.pi.port"),
        ("schema = 1\n[devices.pi]\nkind='telnet'\nhost='h'", "devices.pi.kind"),
        ("schema = 1\n[devices.local]\nkind='ssh'\nhost='h'", "'local' is built in"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='-oProxyCommand=x'", "not a host name"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nuser='-l'", "not a user name"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h x'", "not a host name"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nfolder='/tmp/../etc'", "devices.pi.folder"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\nfolder='$(x)'", "devices.pi.folder"),
        ("schema = 1\n[devices.pi]\nkind='ssh'\nhost='h'\npython='-c'", "devices.pi.python"),
    ],
)
def test_a_bad_file_names_the_file_and_the_key(write, text, said):
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_devices()
    assert said in str(caught.value)
    assert str(path) in caught.value.why
    assert caught.value.hint


def test_a_named_file_that_is_missing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="cannot read"):
        load_devices()


def test_what_a_device_must_say_it_is(write):
    write(
        GOOD
        + 'serial = "10000000c0ffee"\n[devices.phone]\nkind = "adb"\nserial = "9A1AY1XYZ"\nbuild = "google/flame:13"\n'
        + '[devices.wifi]\nkind = "adb"\nserial = "192.168.1.20:5555"\n[devices.any]\nkind = "adb"\n'
    )
    assert expected_of("pi") == Expected("10000000c0ffee")
    assert expected_of("phone") == Expected("9A1AY1XYZ", "google/flame:13")
    # An address of adb's is no serial number, and nothing is known of devices that no table describes.
    assert [expected_of(name) for name in ("wifi", "any", "local", "emulated", "made-up")] == [Expected()] * 5
