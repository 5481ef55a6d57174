"""What a build's end says of refining, and what it refuses."""

import pytest
from click.testing import CliRunner
from manifests import NET, manifest

from ofa_edge.cli.build import build_command, summary
from ofa_edge.errors import UnsupportedError
from ofa_edge.records.refinement import GapRecord, IntervalRecord, RefinedCandidate, RefinementRecord

BEFORE = GapRecord(mape=0.62, bias=-0.48, inside50=0.0, inside90=0.5)
AFTER = GapRecord(mape=0.031, bias=0.012, inside50=0.5, inside90=1.0)


def record(**changes):
    interval = IntervalRecord(ms=10, low50=9, high50=11, low90=8, high90=12)
    after = interval if changes.get("after") else None
    candidate = RefinedCandidate(
        subnet=NET, round=1, measured_ms=6.0, low95=5.9, high95=6.1, before=interval, after=after
    )
    common = {"device": "my-pi", "asked": 1, "rounds": 1, "first": NET, "candidates": (candidate,), "before": BEFORE}
    files = {"latency_file": "a.latency.json", "target_file": "a-refined.toml", "seconds": 60.0}
    return RefinementRecord(**{**common, **files, **changes})


def test_before_and_after_stand_beside_each_other(tmp_path):
    words = summary(manifest(refinement=record(after=AFTER, first="f" * 12, rounds=2)), tmp_path)
    assert f"refined on my-pi in 2 rounds: in place of {'f' * 12}" in words
    own, refined = (next(line for line in words.splitlines() if name in line) for name in ("own", "each without"))
    assert own.split()[-7:] == ["62.0", "%", "-0.480", "0", "%", "50", "%"]
    assert refined.split()[-7:] == ["3.1", "%", "+0.012", "50", "%", "100", "%"]
    assert f"--target {tmp_path}/a-refined.toml" in words


def test_a_single_candidate_has_no_line_after(tmp_path):
    words = summary(manifest(refinement=record(notes=("one was left out",))), tmp_path)
    assert "the choice stands" in words
    assert "each without itself" not in words
    assert "note: one was left out" in words


def test_nothing_is_said_where_nothing_was_refined(tmp_path):
    assert "refined" not in summary(manifest(), tmp_path)


@pytest.mark.parametrize("device", ["none", "emulated"])
def test_no_device_that_gives_times_is_an_error_with_a_way_out(device, tmp_path, monkeypatch):
    monkeypatch.setattr("ofa_edge.device.emulation.emulated.emulation_available", lambda arch: None)
    options = ["--target", "raspberry-pi-4", "--refine", "3", "--device", device, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(build_command, options)
    assert isinstance(result.exception, UnsupportedError)
    assert "cannot refine the latency model of raspberry-pi-4" in result.exception.what
    assert "--device NAME" in result.exception.hint
    assert not (tmp_path / "out").exists()
