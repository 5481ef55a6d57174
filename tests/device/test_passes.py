"""Memory and the profile of each operator: measured where they can be, and said why not where they cannot."""

import dataclasses

import pytest
from tiny_tflite import CLASSES

from ofa_edge.device.local import LocalConnection
from ofa_edge.device.passes import FunctionTime, Memory, Unavailable, memory_pass, profile_pass
from ofa_edge.device.protocol import Request
from ofa_edge.device.session import open_artifact
from ofa_edge.errors import DeviceBusyError, DeviceRunError


@pytest.fixture(scope="module")
def opened(artifacts, images):
    with open_artifact(LocalConnection(), Request(artifacts["int8"], "tflite", images, CLASSES)) as artifact:
        yield artifact


def told(artifact, monkeypatch, facts, **request):
    """The same artifact, whose runner prints `facts`."""
    monkeypatch.setattr(type(artifact), "run", lambda self, argv: facts)
    return dataclasses.replace(artifact, request=dataclasses.replace(artifact.request, **request))


def test_memory_of_a_process_here(opened):
    found = memory_pass(opened)
    assert isinstance(found, Memory)
    assert 2**20 < found.before < found.peak < 2**31


def test_litert_has_no_profile_and_says_why(opened):
    assert "no profiler" in profile_pass(opened).reason


def test_an_emulated_device_has_neither(opened):
    emulated = dataclasses.replace(opened, fingerprint=dataclasses.replace(opened.fingerprint, device_kind="emulated"))
    assert isinstance(memory_pass(emulated), Unavailable)
    assert isinstance(profile_pass(emulated), Unavailable)


def test_a_profile_is_of_one_inference(opened, monkeypatch):
    facts = {"runs": 4, "profile": [["conv", 8, 6_000_000], ["pool", 4, 2_000]]}
    found = profile_pass(told(opened, monkeypatch, facts, runtime="tvm"))
    assert found == (FunctionTime("conv", 2, 1.5), FunctionTime("pool", 1, 0.0005))


def test_a_profile_waits_until_the_device_is_fit(opened, monkeypatch):
    class Hot:
        def before(self):
            raise DeviceBusyError("hot", "81 C", "cool it", reason="too-hot")

    hot = dataclasses.replace(told(opened, monkeypatch, {}, runtime="tvm"), conditions=Hot())
    with pytest.raises(DeviceBusyError):
        profile_pass(hot)


@pytest.mark.parametrize("facts", [{}, {"runs": 0, "profile": [["a", 1, 1]]}, {"runs": 1, "profile": [3]}])
def test_what_is_no_profile_is_refused(opened, monkeypatch, facts):
    with pytest.raises(DeviceRunError, match="not readable"):
        profile_pass(told(opened, monkeypatch, facts, runtime="tvm"))


def test_memory_that_is_not_there(opened, monkeypatch):
    assert isinstance(memory_pass(told(opened, monkeypatch, {"peak_memory": 0, "memory_before": 0})), Unavailable)
    with pytest.raises(DeviceRunError, match="not readable"):
        memory_pass(told(opened, monkeypatch, {"peak_memory": "much"}))
