import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fleets import FakeBench, hardware, write_build, write_fleet
from places import ROOT

from ofa_edge.errors import DeviceLostError

LOST = DeviceLostError("the device was lost", "ssh: gone", "?")


@pytest.fixture
def nightly(run, monkeypatch):
    """Runs `nightly` on a fleet whose devices are these benches, in the order of the file."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    here = Path.cwd()
    write_build(here / "out")
    write_fleet(here, "one", "two")
    assert run("baseline", "accept", "net", "--note", "first")[0] == 0
    write_build(here / "out", b"candidate")

    def call(one, two, *arguments):
        made = hardware({"one": one, "two": two})
        monkeypatch.setattr("ofa_edge.workflows.nightly.run.Hardware", lambda: made)
        return run("nightly", *arguments)

    return call


@pytest.mark.parametrize(
    ("one", "two", "code"),
    [
        (FakeBench(), FakeBench(), 0),
        (FakeBench(slower=1.2), LOST, 1),  # RED
        (FakeBench(slower=1.03), LOST, 0),  # YELLOW
        (LOST, FakeBench(), 0),  # one device proved something
        (LOST, LOST, 3),
    ],
)
def test_exit_codes(nightly, one, two, code):
    found, out, _ = nightly(one, two)
    assert found == code
    assert "wrote nightly/" in out


def test_what_a_night_leaves(nightly):
    _, out, err = nightly(FakeBench(slower=1.2), LOST)
    lines = [line.split() for line in out.splitlines()]
    assert ["one", "net", "latency", "RED"] in [words[:4] for words in lines]
    assert "two: the device was lost" in err
    root = ET.fromstring(Path("nightly/junit.xml").read_bytes())
    assert len(root.findall(".//failure")) == 1
    assert "RED" in Path("nightly/nightly.html").read_text()
    assert len(Path("nightly/history.jsonl").read_text().splitlines()) == 2


def test_annotations_in_actions_and_when_asked_for(nightly, monkeypatch):
    assert "::error" not in nightly(FakeBench(slower=1.2), FakeBench())[1]
    assert "::error" in nightly(FakeBench(slower=1.2), FakeBench(), "--github")[1]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert "::error" in nightly(FakeBench(slower=1.2), FakeBench())[1]
    assert "::error" not in nightly(FakeBench(slower=1.2), FakeBench(), "--no-github")[1]


def test_json_is_the_record(nightly):
    night = json.loads(nightly(FakeBench(), LOST, "--json", "--github")[1])
    assert [device["name"] for device in night["devices"]] == ["one", "two"]


def test_baselines(nightly, run):
    out = run("baseline", "show")[1]
    assert out.splitlines()[1].split()[0] == "net"
    assert out.splitlines()[1].endswith("first")
    assert run("baseline", "accept", "nest")[0] == 2
    assert run("baseline", "accept")[0] == 2
    assert run("baseline", "accept", "--all")[0] == 0
    assert json.loads(run("baseline", "show", "--json")[1])["net"]["note"] == ""


def test_no_fleet_file(run):
    code, _, err = run("nightly")
    assert (code, "cannot read fleet.toml" in err) == (2, True)


def test_the_workflow_calls_commands_that_exist():
    import yaml

    from ofa_edge.cli import cli

    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text()
    steps = yaml.safe_load(text)["jobs"]["nightly"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").splitlines() if "bin/ofa-edge" in line]
    names = [line.split("bin/ofa-edge ")[1].split()[0] for line in lines]
    assert set(names) == {"build", "nightly"}
    assert set(names) <= set(cli.commands)
