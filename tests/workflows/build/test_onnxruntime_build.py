"""ONNX Runtime goes the whole way: build, verify, profile, in both precisions."""

import pytest

from ofa_edge.builds import Build
from ofa_edge.workflows.profile import profile
from ofa_edge.workflows.verify import verify

RUNTIME, MODEL = "onnxruntime", "model.ort.onnx"


@pytest.fixture(scope="module", params=["fp32", "int8"])
def built(workshop, tmp_path_factory, request):
    out = tmp_path_factory.mktemp("onnxruntime") / "out"
    options = {"target": "host", "runtime": RUNTIME, "precision": request.param, "device": "local"}
    # In int8 fast, so shallow: what had a few steps of training keeps 12 dB where few layers add their noise.
    budget_ms = {"fp32": 1e3, "int8": 0.05}[request.param]
    return out, workshop.build(out, latency_ms=budget_ms, **options)[0]


def test_it_builds(built) -> None:
    out, manifest = built
    precision = manifest.target.precision
    assert [rung.name for rung in manifest.ladder][2:] == ["onnx", f"onnxruntime {precision}", "on device"]
    assert manifest.ladder[-1].snr_db > 80  # the same package on the same machine
    assert set(manifest.labels) == {"analytic"} | {label for label in manifest.labels if label == "untrained"}
    gates = {verdict.gate: verdict.outcome for verdict in manifest.verdicts}
    assert gates["parity"] == "pass"
    assert "delegation" not in gates  # it has no delegate
    assert manifest.measurements[0].latency_ms.p50 > 0
    assert ((out / MODEL).read_bytes() == (out / "model.onnx").read_bytes()) == (precision == "fp32")
    assert (manifest.calibration is None) == (precision == "fp32")
    assert Build.open(out).runtime.operators(out / MODEL)["Conv"] > 1


def test_it_is_verified_and_profiled(built) -> None:
    out, _ = built
    result = verify(out, "local")
    assert {item.gate: item.outcome for item in result.verdicts}["parity"] == "pass"
    found = profile(out, "local")
    assert found.memory.peak > found.memory.before > 0
    assert sum(item.ms for item in found.functions.items) > 0
