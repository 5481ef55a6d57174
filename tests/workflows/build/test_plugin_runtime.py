"""A runtime that an entry point brings goes the whole way: build, verify, profile, nights, reports."""

import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from fleets import short_night
from plain_onnx import MODEL

from ofa_edge.builds import Build
from ofa_edge.cli import main
from ofa_edge.device.measuring.passes import Unavailable
from ofa_edge.errors import UnknownNameError
from ofa_edge.runtimes import registry
from ofa_edge.workflows.profile import profile
from ofa_edge.workflows.verify import verify


@pytest.fixture(scope="module")
def plugged():
    """As `pip install` of a package with that entry point does."""
    point = EntryPoint("plain-onnx", "plain_onnx:PlainOnnx", registry.ENTRY_POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda group: [point])
        registry.registry.cache_clear()
        yield
    registry.registry.cache_clear()


@pytest.fixture(scope="module")
def built(workshop, plugged, tmp_path_factory):
    out = tmp_path_factory.mktemp("plugin") / "out"
    options = {"target": "host", "runtime": "plain-onnx", "device": "local", "outside_key": True}
    return out, workshop.build(out, latency_ms=1e3, **options)[0]


def test_it_builds(built) -> None:
    out, manifest = built
    assert (manifest.target.runtime, manifest.target.precision) == ("plain-onnx", "fp32")
    assert "outside-key" in manifest.labels  # no latency model is fitted to it
    names = [rung.name for rung in manifest.ladder]
    assert names[2:] == ["onnx", "plain-onnx fp32", "on device"]
    assert manifest.ladder[-1].snr_db > 80
    assert (out / MODEL).read_bytes() == (out / "model.onnx").read_bytes()
    gates = {verdict.gate: verdict.outcome for verdict in manifest.verdicts}
    assert gates["parity"] == "pass"
    assert "delegation" not in gates  # it has no delegate
    assert manifest.measurements[0].latency_ms.p50 > 0
    assert "plain-onnx" in (out / "report.html").read_text()


def test_it_is_verified_and_profiled(built) -> None:
    out, _ = built
    build = Build.open(out)
    assert (build.runtime.name, build.artifact.path.name, build.artifact.runner) == ("plain-onnx", MODEL, None)
    result = verify(out, "local")
    assert [rung.name for rung in result.rungs] == ["this machine", "on device"]
    assert {item.gate: item.outcome for item in result.verdicts}["parity"] == "pass"
    found = profile(out, "local")
    assert found.memory.peak > found.memory.before > 0
    assert found.functions == Unavailable("ONNX Runtime tells no profile")


def test_it_has_nights(built, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OFA_EDGE_LEASES", str(tmp_path / "leases"))
    night = short_night(tmp_path, built[0], "host")
    assert night.devices[0].error is None
    assert {"accuracy", "size", "operators", "latency"} <= {item.gate for item in night.series}


def test_its_report_is_printed_and_it_is_listed(built, capsys) -> None:
    for command in (["report", os.fspath(built[0])], ["targets", "list"]):
        with pytest.raises(SystemExit) as caught:
            main(command)
        assert caught.value.code in (0, None)
        assert "plain-onnx" in capsys.readouterr().out


def test_without_its_package_a_build_says_what_is_missing(built, monkeypatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    registry.registry.cache_clear()
    with pytest.raises(UnknownNameError, match="plain-onnx"):
        Build.open(built[0])
    monkeypatch.undo()
    registry.registry.cache_clear()
