"""The profile of a build: memory on this machine, functions where the runtime times them."""

import json

import pytest
from click.testing import CliRunner

from ofa_edge.cli import cli
from ofa_edge.device.measuring.passes import FunctionTime, FunctionTimes, Memory, Unavailable
from ofa_edge.errors import ConfigError
from ofa_edge.workflows import profile as profiling
from ofa_edge.workflows.profile import Profile, profile


def test_profile_on_this_machine(first):
    found = profile(first[0], "local")
    assert 2**20 < found.memory.before < found.memory.peak
    names = [item.name for item in found.functions.items]
    assert [name.split()[0] for name in names] == sorted((name.split()[0] for name in names), key=int)
    assert any(" CONV_2D 1x1 to " in name for name in names)
    assert any(" DEPTHWISE_CONV_2D " in name for name in names)
    assert found.functions.alone
    assert found.functions.whole_ms > 0
    assert json.loads(json.dumps(found.to_json()))["functions"]["items"][0]["name"] == names[0]


def test_profile_needs_a_device(first):
    with pytest.raises(ConfigError, match="no device"):
        profile(first[0], "none")


def shown(monkeypatch, found, *options):
    monkeypatch.setattr(profiling, "profile", lambda *_: found)
    done = CliRunner().invoke(cli, ["profile", "folder", "--device", "pi", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_operators_of_one_type_are_summed():
    names = ("0 CONV_2D", "1 ADD", "2 CONV_2D", "fused_conv2d_add_3", "fused_conv2d_add")
    items = tuple(FunctionTime(name, 1, ms) for name, ms in zip(names, (0.5, 0.25, 0.5, 1.0, 2.0), strict=True))
    found = Profile("pi", Unavailable("none"), FunctionTimes(items)).by_type()
    assert [(each.type, each.operators, each.ms) for each in found] == [
        ("fused_conv2d_add", 2, 3.0),
        ("CONV_2D", 2, 1.0),
        ("ADD", 1, 0.25),
    ]
    assert Profile("pi", Unavailable("none"), Unavailable("none")).by_type() == ()


def test_what_is_shown(monkeypatch):
    functions = FunctionTimes((FunctionTime("pool", 1, 0.25), FunctionTime("conv", 2, 0.75)))
    found = Profile("pi", Memory(30 * 2**20, 10 * 2**20), functions)
    text = shown(monkeypatch, found)
    assert "30.0 MiB at the peak, 10.0 MiB before" in text
    assert text.index("conv") < text.index("pool")  # what takes most stands first
    assert "75.0" in text
    listed = json.loads(shown(monkeypatch, found, "--json"))["functions"]["items"]
    assert [item["name"] for item in listed] == ["pool", "conv"]
    assert "the watching is in it" in text
    text = shown(monkeypatch, Profile("pi", Unavailable("no VmHWM"), FunctionTimes(functions.items, True, 0.8)))
    assert "1.000 ms in all, each operator run alone; the whole network takes 0.800 ms" in text
    text = shown(monkeypatch, Profile("pi", Unavailable("no VmHWM"), Unavailable("no profiler")))
    assert "memory: not available: no VmHWM" in text
    assert "operators: not available: no profiler" in text
