import json

import pytest
from hostile_names import NAMES
from places import ROOT

from ofa_edge.errors import ConfigError
from ofa_edge.workflows.nightly.fleet import ProtocolEntry, load_fleet

GOOD = 'schema = 1\n[artifacts.net]\nbuild = "out"\n[devices.local]\nartifacts = ["net"]\n'


def loaded(tmp_path, text):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return load_fleet(path)


def test_what_is_left_out_is_the_protocol_of_the_docs(tmp_path):
    fleet = loaded(tmp_path, GOOD)
    protocol = fleet.file.protocol
    assert (fleet.name, protocol.pairs, protocol.session_seconds, protocol.pause_seconds) == ("lab", 8, 10.0, 60.0)
    assert fleet.history == tmp_path / "nightly" / "history.jsonl"
    assert fleet.build_folder("net") == tmp_path / "out"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("schema = 1", "schema = 2"), "schema = 2: "),
        (GOOD + "speed = 3\n", "unknown key 'devices.local.speed'"),
        (GOOD.replace('build = "out"', ""), "missing key 'artifacts.net.build'"),
        (GOOD.replace('["net"]', '["nest"]'), "devices.local: no artifact 'nest'; known: net"),
        (GOOD.replace('artifacts = ["net"]', ""), "give either targets or artifacts"),
        (GOOD + 'targets = ["host"]\n', "give either targets or artifacts"),
        (GOOD + "deadline_minutes = 0\n", "deadline_minutes"),
        (GOOD + "[protocol]\npairs = 5\n", "protocol.pairs"),
        (GOOD + '[protocol]\npairs = "8"\n', "protocol.pairs"),
        (GOOD.replace("devices.local", 'devices."-x"'), "'-x' is not a plain name"),
        ("schema = 1\n", "missing key 'artifacts'"),
        ("schema = [", "lab.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)


BODY = {"artifacts": 'build = "x"', "devices": 'artifacts = ["net"]'}


@pytest.mark.parametrize("table", BODY)
@pytest.mark.parametrize("name", NAMES)
def test_names_are_plain(tmp_path, table, name):
    with pytest.raises(ConfigError, match="not a plain name"):
        loaded(tmp_path, f"{GOOD}[{table}.{json.dumps(name)}]\n{BODY[table]}\n")


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read fleet"):
        load_fleet(tmp_path / "fleet.toml")


def test_the_example_of_the_docs_is_one(tmp_path):
    text = (ROOT / "docs" / "nightly.md").read_text()
    fleet = loaded(tmp_path, text.split("```toml\n")[1].split("```")[0])
    defaults = ProtocolEntry().model_dump() | {"images": 2000}
    assert fleet.file.protocol.model_dump() == defaults
    assert fleet.file.devices["pi-in-the-lab"].targets == ("raspberry-pi-4",)
