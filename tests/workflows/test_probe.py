"""`ofa-edge devices probe`: what a device has, where it stands and what it lacks, of a simulated board."""

import json

import pytest
from click.testing import CliRunner
from lacking import NO_MODULE, Board

from ofa_edge.cli.devices import devices_group
from ofa_edge.device import access
from ofa_edge.workflows.probe import probe


@pytest.fixture
def board(monkeypatch):
    found = Board(programs="armv7l", missing={"numpy": NO_MODULE.format("numpy")})
    found.close = lambda: None
    found.files["/sys/class/thermal/thermal_zone0/temp"] = "81000"
    monkeypatch.setattr(access, "open_connection", lambda name, target: found)
    return found


def test_all_of_it_is_told(board):
    found = probe("pi", "raspberry-pi-4")
    assert (found.has.machine, found.has.programs) == ("aarch64", "armv7l")
    assert {name: [each.kind for each in lacks] for name, lacks in found.lacks.items()} == {
        "tflite": ["module"],
        "tvm": ["machine"],
        "onnxruntime": ["module"],
    }
    assert found.stands["temperature"] == "81.0 C"
    assert [fault.code for fault in found.faults] == ["too-hot"]
    assert json.loads(json.dumps(found.to_json()))["has"]["programs"] == "armv7l"


def test_it_is_shown(board):
    said = CliRunner().invoke(devices_group, ["probe", "pi"])
    assert said.exit_code == 0, said.output
    for words in ("glibc 2.36", "4096 bytes", "81.0 C", "runs no aarch64 programs", "no wheel of numpy for armv7l"):
        assert words in said.output
