"""`onnx_runner.py` as devices run it: each pass, and answers that are those of the same file here."""

import numpy as np
import pytest

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.passes import memory_pass, profile_pass
from ofa_edge.device.measuring.programs import onnx_program
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import DeviceRunError
from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.export.onnx.run import run_onnx

PLAN = LatencyPlan(sessions=2, min_runs=20, min_seconds=0.0, warmup_seconds=0.0, warmup_limit_seconds=0.5)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def artifact(net, inputs, folder, request):
    if request.param == "fp32":
        return net
    quantise(net, folder / "int8.onnx", inputs)
    return folder / "int8.onnx"


@pytest.fixture
def asked(artifact, inputs):
    expected = run_onnx(artifact, inputs)
    return Request(artifact, onnx_program, inputs, expected.shape[1], latency=PLAN, memory=True), expected


def test_all_passes_on_this_machine(asked):
    request, expected = asked
    found = measure(LocalConnection(), request)
    np.testing.assert_array_equal(found.outputs, expected)
    assert found.latency.sessions == 2
    assert found.latency.runs >= 40
    assert found.peak_memory > 2**20
    assert found.runner["runtime"] == "ONNX Runtime"


def test_memory_and_a_profile_whose_operators_sum_up(asked):
    request, _ = asked
    with open_artifact(LocalConnection(), request) as opened:
        memory, found = memory_pass(opened), profile_pass(opened)
        assert memory.peak > memory.before > 0
        assert any("Conv" in item.name for item in found.items)
        assert all(item.calls >= 1 for item in found.items)
        assert sum(item.ms for item in found.items) > 0
        assert len({item.name for item in found.items}) == len(found.items)


def test_a_file_that_is_no_network_fails_with_words(inputs, tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(DeviceRunError):
        measure(LocalConnection(), Request(tmp_path / "text.onnx", onnx_program, inputs, 5, latency=None))


def test_an_emulated_core_answers_alike_and_counts(asked, emulated):
    request, expected = asked
    found = measure(emulated, request)
    steps = np.abs(expected).max() / 40  # an int8 value may be rounded the other way
    np.testing.assert_allclose(found.outputs, expected, atol=steps if "int8" in request.artifact.name else 1e-4)
    assert found.latency is None
    assert found.instructions is None or found.instructions.per_inference > 1000
