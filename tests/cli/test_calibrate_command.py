"""`ofa-edge calibrate` on the machine at hand: real models, real times, a budget of seconds."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ofa_edge.cli import cli
from ofa_edge.cli.calibrate import calibrate_command


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "targets"
    done = CliRunner().invoke(
        calibrate_command, ["--target", "host", "--device", "local", "--dry-run", "--out", str(out)]
    )
    assert done.exit_code == 0
    assert "the most telling units" in done.output
    assert "budget 300 s" in done.output
    assert not out.exists()


def test_a_budget_of_seconds_gives_a_target_of_the_machine_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "cache"))
    command = ["calibrate", "--target", "host", "--device", "local", "--budget", "13s", "--networks", "3"]
    command += ["--held-out", "3", "--name", "here", "--out", str(tmp_path / "targets")]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert done.exception is None, done.output
    assert "held-out subnets       3" in done.output
    report = json.loads((tmp_path / "targets" / "here.calibration.json").read_text())
    assert report["key"]["version"].startswith("LiteRT 2.")
    assert len(report["key"]["runtime_digest"]) == 64
    # 13 s were asked for; the last run may end a little later than that.
    assert 3 < report["device_s"] < 40
    measured = [each["measured_ms"] for each in report["held_out"]]
    assert all(0.01 < ms < 100 for ms in measured)
    assert set(report["sessions"].values()) <= {1, 2, 3, 4, 5}
    target = str(tmp_path / "targets" / "here.toml")
    explained = CliRunner().invoke(cli, ["explain", "--target", target], standalone_mode=False)
    assert explained.exception is None, explained.output
    assert "stem" in explained.output
    again = CliRunner().invoke(cli, command, standalone_mode=False)  # nothing is left to do: no sample is taken again
    assert again.exception is None, again.output
    assert json.loads((tmp_path / "targets" / "here.calibration.json").read_text())["device_s"] == report["device_s"]
