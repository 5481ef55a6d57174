"""The profile of a build: memory on this machine, functions where the runtime times them."""

import json

import pytest
from click.testing import CliRunner

from ofa_edge.cli import cli
from ofa_edge.device.passes import FunctionTime, Memory, Unavailable
from ofa_edge.errors import ConfigError
from ofa_edge.pipeline import profiling
from ofa_edge.pipeline.profiling import Profile, profile


def test_profile_on_this_machine(first):
    found = profile(first[0], "local")
    assert 2**20 < found.memory.before < found.memory.peak
    assert "no profiler" in found.functions.reason
    assert json.loads(json.dumps(found.to_json()))["functions"]["reason"]


def test_profile_needs_a_device(first):
    with pytest.raises(ConfigError, match="no device"):
        profile(first[0], "none")


def shown(monkeypatch, found, *options):
    monkeypatch.setattr(profiling, "profile", lambda *_: found)
    done = CliRunner().invoke(cli, ["profile", "folder", "--device", "pi", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_what_is_shown(monkeypatch):
    functions = (FunctionTime("pool", 1, 0.25), FunctionTime("conv", 2, 0.75))
    found = Profile("pi", Memory(30 * 2**20, 10 * 2**20), functions)
    text = shown(monkeypatch, found)
    assert "30.0 MiB at the peak, 10.0 MiB before" in text
    assert text.index("conv") < text.index("pool")  # what takes most stands first
    assert "75.0" in text
    assert [item["name"] for item in json.loads(shown(monkeypatch, found, "--json"))["functions"]] == ["pool", "conv"]
    text = shown(monkeypatch, Profile("pi", Unavailable("no VmHWM"), Unavailable("no profiler")))
    assert "memory: not available: no VmHWM" in text
    assert "operators: not available: no profiler" in text
