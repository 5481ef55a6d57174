import pytest

from ofa_edge.device.connections.privacy import pseudonym
from ofa_edge.workflows.nightly.privacy import Pseudonyms, lasting_facts


def test_addresses_of_the_devices_file_are_hidden(tmp_path):
    (tmp_path / "devices.toml").write_text(
        'schema = 1\n[devices.pi]\nkind = "ssh"\nhost = "pi.lab.example"\nuser = "maria"\n'
    )
    hidden = Pseudonyms().hide("ssh: maria@pi.lab.example: connection refused")
    assert hidden.startswith("ssh: device-")
    assert "maria" not in hidden
    assert "pi.lab" not in hidden


def test_a_longer_secret_is_not_left_half_hidden():
    assert "example" not in Pseudonyms(("pi.lab", "pi.lab.example")).hide("pi.lab.example is gone")


@pytest.mark.parametrize("key", ["serial", "host", "user"])
def test_facts(key):
    found = lasting_facts({"cpu": "cortex-a72", key: "SECRET", "boot_id": "1", "cores": 4})
    assert found == {"cpu": "cortex-a72", key: pseudonym("SECRET"), "cores": 4}
