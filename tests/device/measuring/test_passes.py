"""Memory and the profile of each operator: measured where they can be, and said why not where they cannot."""

import dataclasses
import os

import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.android_app import AndroidAppProgram
from ofa_edge.device.measuring.passes import (
    FunctionTime,
    FunctionTimes,
    Memory,
    Unavailable,
    memory_pass,
    operators_pass,
    profile_pass,
)
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.protocol import Request
from ofa_edge.errors import DeviceBusyError, DeviceRunError, ThrottledError
from ofa_edge.export.inspect.single_operators import single_operators


@pytest.fixture(scope="module")
def opened(artifacts, images):
    with open_artifact(LocalConnection(), Request(artifacts["int8"], litert_program, images, CLASSES)) as artifact:
        yield artifact


def told(artifact, monkeypatch, facts):
    """The artifact, whose runner prints `facts`."""
    monkeypatch.setattr(type(artifact), "run", lambda self, argv: facts)
    return artifact


def test_memory_of_a_process_here(opened):
    found = memory_pass(opened)
    assert isinstance(found, Memory)
    assert 2**20 < found.before < found.peak < 2**31


@pytest.fixture
def operators(artifacts, tmp_path):
    found = {}
    for each in single_operators(artifacts["int8"]):
        found[each.name] = tmp_path / f"{each.index}.tflite"
        found[each.name].write_bytes(each.content)
    return found


def test_each_operator_of_a_tflite_file_runs_alone_here(opened, operators):
    found = operators_pass(opened, operators)
    assert [item.name for item in found.items] == list(operators)
    assert all(item.ms > 0 and item.calls == 1 for item in found.items)
    assert found.alone
    # The whole is more than its shortest operator, and not many times the sum of all.
    assert min(item.ms for item in found.items) < found.whole_ms < 10 * sum(item.ms for item in found.items)


def test_operators_on_cores_of_their_own(opened, operators):
    core = min(os.sched_getaffinity(0))
    pinned = dataclasses.replace(opened, request=dataclasses.replace(opened.request, cores=(core,)))
    assert operators_pass(pinned, operators).whole_ms > 0
    elsewhere = dataclasses.replace(opened, request=dataclasses.replace(opened.request, cores=(4096,)))
    with pytest.raises(DeviceRunError):
        operators_pass(elsewhere, operators)


def test_a_phone_says_why_it_has_no_profile(opened):
    phone = dataclasses.replace(opened, program=AndroidAppProgram(opened.request.artifact, CLASSES))
    assert "whole networks" in operators_pass(phone, {}).reason


def test_an_emulated_device_has_neither(opened):
    emulated = dataclasses.replace(opened, fingerprint=dataclasses.replace(opened.fingerprint, device_kind="emulated"))
    assert isinstance(memory_pass(emulated), Unavailable)
    assert isinstance(profile_pass(emulated), Unavailable)
    assert isinstance(operators_pass(emulated, {}), Unavailable)


def test_a_profile_is_of_one_inference(opened, monkeypatch):
    facts = {"runs": 4, "profile": [["conv", 8, 6_000_000], ["pool", 4, 2_000]]}
    found = profile_pass(told(opened, monkeypatch, facts))
    assert found == FunctionTimes((FunctionTime("conv", 2, 1.5), FunctionTime("pool", 1, 0.0005)))


def test_a_profile_waits_until_the_device_is_fit(opened, monkeypatch):
    class Hot:
        def before(self):
            raise DeviceBusyError("hot", "81 C", "cool it", reason="too-hot")

    hot = dataclasses.replace(told(opened, monkeypatch, {}), conditions=Hot())
    with pytest.raises(DeviceBusyError):
        profile_pass(hot)
    with pytest.raises(DeviceBusyError):
        operators_pass(hot, {})


def test_a_profile_of_a_device_that_was_slowed_down_counts_for_nothing(opened, operators):
    class Slowed:
        def before(self):
            pass

        def after(self):
            return "throttled"

    with pytest.raises(ThrottledError, match="slowed down"):
        operators_pass(dataclasses.replace(opened, conditions=Slowed()), operators)


@pytest.mark.parametrize("facts", [{}, {"runs": 0, "profile": [["a", 1, 1]]}, {"runs": 1, "profile": [3]}])
def test_what_is_no_profile_is_refused(opened, monkeypatch, facts):
    with pytest.raises(DeviceRunError, match="not readable"):
        profile_pass(told(opened, monkeypatch, facts))


def test_memory_that_is_not_there(opened, monkeypatch):
    assert isinstance(memory_pass(told(opened, monkeypatch, {"peak_memory": 0, "memory_before": 0})), Unavailable)
    with pytest.raises(DeviceRunError, match="not readable"):
        memory_pass(told(opened, monkeypatch, {"peak_memory": "much"}))
