"""The package in examples/ofa-edge-ncnn by its entry point: built, verified on the emulated core and here."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ofa_edge.builds import Build
from ofa_edge.device.emulation.emulated import emulation_available
from ofa_edge.runtimes import registry
from ofa_edge.workflows.verify import verify

PACKAGE = Path(__file__).parents[3] / "examples" / "ofa-edge-ncnn"


@pytest.fixture(scope="module", autouse=True)
def installed():
    """As `pip install` of this package does: the entry point is the one of its pyproject.toml."""
    points = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"][registry.ENTRY_POINTS]
    found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda group: found)
        registry.registry.cache_clear()
        yield
    registry.registry.cache_clear()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_build_is_verified_on_the_emulated_core(workshop, tmp_path, precision) -> None:
    if (why_not := emulation_available("aarch64")) is not None:
        pytest.skip(why_not)
    out = tmp_path / "out"
    options = {"target": "raspberry-pi-4", "runtime": "ncnn", "precision": precision, "device": "emulated"}
    manifest, _ = workshop.build(out, **options)
    assert [rung.name for rung in manifest.ladder][-2:] == [f"ncnn {precision}", "on device"]
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"
    assert {"emulated", "outside-key"} <= set(manifest.labels)
    assert manifest.measurements[0].instructions_per_inference > 10_000
    assert "ncnn" in manifest.versions
    assert Build.open(out).runtime.name == "ncnn"


def test_a_build_for_this_machine_is_measured(workshop, tmp_path) -> None:
    out = tmp_path / "out"
    manifest, _ = workshop.build(out, target="host", runtime="ncnn", device="local", latency_ms=1e3)
    assert manifest.measurements[0].latency_ms.p50 > 0
    assert {item.gate: item.outcome for item in verify(out, "local").verdicts}["parity"] == "pass"
