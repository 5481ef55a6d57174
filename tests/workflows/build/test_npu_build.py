"""A build for an accelerator: the compiled file, the int8 file beside it, what the compiler said, and the gates."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from builds import Workshop, content

from ofa_edge.device.emulation.emulated import emulation_available
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.latency.silicon import ETHOS_U, Silicon
from ofa_edge.records.manifest import Manifest
from ofa_edge.report import render_report
from ofa_edge.runtimes import require, runtime_named
from ofa_edge.schema import changed
from ofa_edge.targets import builtin_folder, load_target, read_target
from ofa_edge.verify.npu_gates import npu_verdicts

pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")


@pytest.fixture(scope="module")
def built(package, tmp_path_factory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("npu")
    manifest, _ = Workshop(package, folder / "cache").build(folder / "out", target="ethos-u55-128")
    return folder / "out", manifest


def test_everything_runs_on_the_accelerator_and_fits(built):
    folder, manifest = built
    outcomes = {verdict.gate: verdict.outcome for verdict in manifest.verdicts}
    assert {outcomes[gate] for gate in ("parity", "delegation", "sram", "storage")} == {"pass"}
    assert outcomes["latency"] == "unverified"
    assert outcomes["kernels"] in ("pass", "unverified")  # unverified without tflite-micro
    assert {"model.vela.tflite", "model.int8.tflite"} <= set(content(folder))
    assert "estimated" in manifest.labels
    assert manifest.prediction is not None
    assert manifest.prediction.provenance == "estimated"
    assert "cycles" in render_report(manifest)


def test_the_file_before_vela_is_right_here_and_on_an_emulated_core(built):
    if (why := emulation_available("aarch64")) is not None:
        pytest.skip(why)
    rungs = {each.name: each for each in built[1].ladder}
    here, there = rungs["int8 before Vela"], rungs["int8 on emulated cortex-a76"]
    assert here.outcome == there.outcome == "pass"
    assert there.snr_db == pytest.approx(here.snr_db, abs=3)  # other kernels, other images; the same network
    assert "not its accelerator" in there.note


def test_vela_by_hand_gives_the_cycles_of_the_manifest(built, tmp_path):
    folder, manifest = built
    npu = manifest.npu
    assert npu is not None
    arguments = [sys.executable, "-m", "ethosu.vela", *npu.command[1:], "--output-dir", str(tmp_path)]
    subprocess.run(arguments, check=True, cwd=folder, capture_output=True)
    (summary,) = tmp_path.glob("*_summary_*.csv")
    (row,) = csv.DictReader(summary.read_text().splitlines())
    assert int(row["cycles_total"]) == npu.cycles
    assert int(row["nn_macs"]) == npu.macs
    (compiled,) = tmp_path.glob("*_vela.tflite")
    assert compiled.read_bytes() == (folder / "model.vela.tflite").read_bytes()


def test_the_rewrites_that_are_made_for_xnnpack_are_left_out(built):
    ops = [layer.op for layer in built[1].npu.layers]
    assert "HardSwish" in ops  # taken apart for XNNPACK, an operator of the accelerator
    assert "Mean" in ops


def test_the_milliseconds_are_those_of_silicon_with_an_interval(built):
    npu, prediction = built[1].npu, built[1].prediction
    alone = 1e3 * npu.cycles / npu.clock_hz
    assert npu.estimated.ms == pytest.approx(alone * Silicon.of(ETHOS_U).factor)
    assert npu.estimated.low90 < prediction.ms < npu.estimated.high90
    for pair in ETHOS_U:  # the interval holds what it was made of
        found = Silicon.of(ETHOS_U).interval(pair.predicted_ms)
        assert found.low90 < pair.measured_ms < found.high90


def test_what_does_not_fit_says_how_much_and_where(built):
    npu = built[1].npu
    verdicts = {each.gate: each for each in npu_verdicts(changed(npu, sram_limit=npu.sram_bytes - 100))}
    assert verdicts["sram"].outcome == "fail"
    assert "100 more than" in verdicts["sram"].reason
    assert max(npu.layers, key=lambda layer: layer.memory_bytes).name in verdicts["sram"].reason


def test_an_operator_left_to_the_cpu_is_named(built):
    (verdict, *_) = npu_verdicts(changed(built[1].npu, cpu_operators=("Gather 'x'",)))
    assert (verdict.outcome, verdict.code) == ("fail", "operators-on-cpu")
    assert "Gather 'x'" in verdict.reason


def test_kernels_that_differ_fail(built):
    npu = built[1].npu
    if npu.kernels is None:
        pytest.skip("tflite-micro is not installed")
    found = {each.gate: each for each in npu_verdicts(changed(npu, kernels=changed(npu.kernels, unequal=3)))}
    assert found["kernels"].outcome == "fail"


# -- before any work ---------------------------------------------------------------------------------------------------


def mine(tmp_path: Path, old: str, new: str):
    text = (builtin_folder() / "ethos-u55-128.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    return read_target(tmp_path / "mine.toml")


def test_a_target_without_the_table_is_told_what_is_missing(tmp_path):
    text = (builtin_folder() / "ethos-u55-128.toml").read_text()
    start, end = text.index("\n[npu]\n"), text.index("\n[runtime]\n")
    (tmp_path / "mine.toml").write_text(text[:start] + text[end:])
    with pytest.raises(ConfigError, match=r"mine\.toml has no \[npu\]"):
        require(read_target(tmp_path / "mine.toml"), "ethos-u", "int8")


def test_a_target_s_own_configuration_file_is_used_and_named(tmp_path):
    from ethosu import vela

    shipped = Path(vela.__file__).parents[1] / "config_files" / "Arm" / "vela.ini"
    (tmp_path / "own.ini").write_text(shipped.read_text().replace("core_clock=500e6", "core_clock=250e6"))
    target = mine(tmp_path, '"Arm/vela.ini"', '"own.ini"')
    runtime = require(target, "ethos-u", "int8")
    account, usual = runtime.cycle_account(target), runtime.cycle_account(load_target("ethos-u55-128"))
    assert (account.clock_hz, usual.clock_hz) == (250e6, 500e6)
    assert account.facts()["config"] != usual.facts()["config"]
    assert runtime.target_tables(target, 1)["npu"]["config"] == str(tmp_path / "own.ini")


def test_floats_are_refused_with_the_reason():
    with pytest.raises(UnsupportedError, match="fp32") as caught:
        require(load_target("ethos-u55-128"), "ethos-u", "fp32")
    assert "integers" in caught.value.why


def test_no_device_runs_the_file():
    with pytest.raises(UnsupportedError, match="Ethos-U"):
        runtime_named("ethos-u").program(None, None, None)
