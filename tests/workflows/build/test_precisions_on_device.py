"""Dynamic range and fp16 sums on an emulated arm64 core, through a whole build. Skipped where there is no emulator."""

import platform
from pathlib import Path

import pytest

from ofa_edge.device.emulation.emulated import emulation_available
from ofa_edge.records.manifest import read_manifest

WHY_NOT = emulation_available("aarch64")
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def test_fp16_sums_are_made_where_the_core_can(workshop, tmp_path):
    built, _ = workshop.build(tmp_path / "out", target="raspberry-pi-5", precision="fp16-acc16", device="emulated")
    assert built.target.precision == "fp16-acc16"
    assert read_manifest(tmp_path / "out") == built
    here, there = built.ladder[-2:]
    assert (here.name, here.outcome) == ("tflite fp16, fp16 sums", "pass")
    assert (there.reference, there.outcome, there.tolerance.snr_db) == (here.name, "pass", 30.0)
    if platform.machine() == "x86_64" and "avx512_fp16" not in Path("/proc/cpuinfo").read_text():
        assert there.snr_db < 80, "an A76 adds in half precision, this machine does not"
    assert "fp16-acc16" in (tmp_path / "out" / "report.html").read_text()


def test_dynamic_range_answers_alike_and_is_delegated_whole(workshop, tmp_path):
    built, _ = workshop.build(tmp_path / "out", precision="dynamic", device="emulated")
    last = built.ladder[-1]
    assert (last.reference, last.outcome) == ("tflite dynamic", "pass")
    assert built.measurements[0].runner["undelegated"] == {}
    assert next(item for item in built.verdicts if item.gate == "delegation").outcome == "pass"
