"""The pages as a phone and a desk show them, by day and by night."""

from dataclasses import replace

import numpy as np
import pytest
from browser import DESK, PHONE, Look, looked_at, needs_browser
from manifests import corrected, facts, manifest
from nights import accuracy, night, series

from ofa_edge.records.manifest import DeviceMeasurement, LatencyMeasurement, Verdict
from ofa_edge.records.schedules import KernelRecord
from ofa_edge.report import render_report
from ofa_edge.report.aligned import Operator, aligned
from ofa_edge.report.diff import render_diff
from ofa_edge.report.difference import Difference, environment_rows, figures, gate_rows, network_rows, times
from ofa_edge.report.nightly import render_nightly
from ofa_edge.report.worst import WorstPhoto

pytestmark = needs_browser
SIDES = 28, 96, 300


def measured_here() -> str:
    """A build for a board that was measured on this machine, with every part that a page may have, long names too."""
    latency = LatencyMeasurement(p50=2.0, p90=2.2, min=1.8, mad=0.1, low95=1.9, high95=2.1, runs=500, sessions=5)
    here = DeviceMeasurement(
        name="local", kind="physical", connection="local", fingerprint={"cpu": "x86"}, latency_ms=latency
    )
    why = Verdict(gate="latency", outcome="unverified", code="not-the-target", reason="measured on another machine")
    kernels = tuple(
        KernelRecord(
            name=f"fused_nn_conv2d_add_multiply_subtract_sigmoid_{number}_kernel",
            arch="sm_87",
            rule="direct convolution",
            grid=(1024, 1, 1),
            block=(256, 1, 1),
            useful=0.9,
            registers=64,
            shared=16384,
            stack=0,
        )
        for number in range(40)
    )
    parts = facts()
    verdicts = (*parts["verdicts"][:2], why)
    long = f"val/{'a class of its own, ' * 3}/{'IMG_20260101_' * 4}.jpg"
    photos = [
        WorstPhoto(np.zeros((side, 96, 3), np.uint8), 0.9, long, "Ankle boot", "T-shirt/top" * 4) for side in SIDES
    ]
    return render_report(
        manifest(
            measurements=(here,), labels=(), verdicts=verdicts, kernels=kernels, search=corrected(parts["search"])
        ),
        photos,
    )


def night_page() -> str:
    nights = [night(series(), accuracy(), day=day) for day in range(12)]
    long = "slower than the golden artifact by more than the limit allows, in both runs of the night"
    beside = series(gate="peak memory", device="pixel-4-on-the-shelf")
    return render_nightly(
        [*nights, night(series("RED", ratio=0.12, reason=long), accuracy("YELLOW", 7), beside, day=12)]
    )


def diff_page() -> str:
    before = [Operator(f"/stages.{place}/conv/Conv", f"Conv {place}x{place}", "1x160x28x28") for place in range(20)]
    after = [Operator(f"/stages.{place}/conv/Conv", f"Conv {place}x{place}", "1x320x14x14") for place in range(9)]
    one, other = manifest(), manifest(seed=7, versions={"torch": "9", "a-package-of-a-long-name": "1.2.3.post20261020"})
    return render_diff(
        Difference(
            before="out/a-folder-of-a-rather-long-name/raspberry-pi-4",
            after="out/b",
            network=network_rows(one, other),
            figures=figures(one, other),
            operators=tuple(aligned(before, after)),
            times=times({"CONV_2D 1": 0.1}, {"CONV_2D 1": 0.2}),
            parts=(),
            gates=gate_rows(one, other),
            environment=environment_rows(one, other),
        )
    )


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    pages = [night_page(), diff_page()]
    looks = [Look(page, width, dark) for page in pages for width in (PHONE, DESK) for dark in (False, True)]
    looks += [Look(page, PHONE, open_all=True) for page in pages]
    return looked_at(looks, tmp_path_factory.mktemp("browser"))


def test_nights_and_differences_fit_too(others):
    found = [(each["wide"], each["out"], each["over"], each["small"]) for each in others]
    assert found == [(0, [], [], [])] * 10
    assert all(each["texts"] > 60 for each in others)


def test_the_last_night_is_in_sight(others):
    assert [each["unseen"] for each in others] == [0] * 10


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    plain = render_report(manifest())
    looks = [
        Look(page, width, dark)
        for page in (plain, measured_here())
        for width in (PHONE, DESK)
        for dark in (False, True)
    ]
    wrong = plain.replace(".listed", ".x").replace("h1 {", "h1 { margin-bottom: -30px !important;")
    looks += [
        replace(looks[4], open_all=True),
        Look(wrong.replace(".chart {", ".chart { max-width: 300px !important;"), PHONE),
    ]
    return looked_at(looks, tmp_path_factory.mktemp("browser"))


def test_nothing_sticks_out(found):
    assert [(each["wide"], each["out"]) for each in found[:-1]] == [(0, [])] * 9


def test_no_text_lies_on_another(found):
    assert [each["over"] for each in found[:-1]] == [[]] * 9


def test_every_text_can_be_read(found):
    assert [each["small"] for each in found[:-1]] == [[]] * 9
    assert all(each["texts"] > 150 for each in found)


def test_what_is_wrong_is_noticed(found):
    wrong = found[-1]
    assert wrong["wide"] > 100
    assert "same top-1" in wrong["out"]
    assert wrong["over"]
    assert wrong["small"]


def test_the_night_has_other_colours(found):
    day, night = found[0], found[1]
    assert day["page"] != night["page"]
    assert day["ink"] != night["ink"]


def test_long_tables_are_folded(found):
    assert found[8]["texts"] > found[4]["texts"] + 40 * 6


def test_the_time_of_another_machine_is_no_headline():
    headline = measured_here().partition("<h2>")[0]
    assert "2 ms" not in headline
    assert "latency, not measured" in headline
