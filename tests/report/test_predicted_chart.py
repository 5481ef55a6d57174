"""The chart of predicted against measured latencies."""

import re

import pytest
from manifests import NET, facts, manifest

from ofa_edge.records.manifest import DeviceMeasurement, LatencyMeasurement, Verdict
from ofa_edge.records.refinement import GapRecord, IntervalRecord, RefinedCandidate, RefinementRecord
from ofa_edge.report import render_report
from ofa_edge.report.predicted import LogAxis, predicted_chart

GAP = GapRecord(mape=0.5, bias=-0.4, inside50=0.25, inside90=0.75)


def interval(ms: float, reach: float) -> IntervalRecord:
    return IntervalRecord(ms=ms, low50=ms / reach, high50=ms * reach, low90=ms / reach**2, high90=ms * reach**2)


def candidate(subnet: str, ms: float, *, alone: bool = False) -> RefinedCandidate:
    after = None if alone else interval(ms * 1.02, 1.02)
    return RefinedCandidate(
        subnet=subnet,
        round=1,
        measured_ms=ms,
        low95=ms * 0.99,
        high95=ms * 1.01,
        before=interval(5 * ms, 1.5),
        after=after,
    )


def refinement(*candidates: RefinedCandidate, **changes) -> RefinementRecord:
    common = {"device": "board", "asked": 3, "rounds": 2, "first": "f" * 12, "before": GAP, "after": GAP}
    files = {"latency_file": "x.latency.json", "target_file": "x.toml", "seconds": 3.0}
    return RefinementRecord(**{**common, **files, "candidates": candidates, **changes})


def measured(ms: float) -> dict:
    """Changes of a manifest whose artifact was measured on the target's hardware."""
    latency = LatencyMeasurement(
        p50=ms, p90=ms * 1.1, min=ms * 0.9, mad=0.1, low95=ms * 0.98, high95=ms * 1.02, runs=500, sessions=5
    )
    device = DeviceMeasurement(
        name="my-pi", kind="physical", connection="ssh", fingerprint={"cpu": "Cortex-A72"}, latency_ms=latency
    )
    return {"measurements": (device,), "labels": ()}


def circles(chart: str, style: str) -> list[tuple[float, float]]:
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" class="([^"]+)"', chart)
    return [(float(x), float(y)) for x, y, name in found if name == style]


def test_nothing_measured_draws_nothing():
    assert predicted_chart(manifest()) == ""
    assert "Latency, predicted against measured" not in render_report(manifest())


def test_one_artifact_stands_against_its_prediction():
    subject = manifest(**measured(20.0))
    chart = predicted_chart(subject)
    ((at, _),) = circles(chart, "known-at")
    ((guess, _),) = circles(chart, "before guess")
    assert guess < at  # 18.6 ms were predicted
    assert circles(chart, "after guess") == []
    assert "artifact" in chart
    assert "-7%" in chart
    assert "Latency, predicted against measured" in render_report(subject)


def test_a_device_that_is_not_the_target_is_not_held_against_its_prediction():
    verdicts = (
        *facts()["verdicts"][:2],
        Verdict(gate="latency", outcome="unverified", code="not-the-target", reason="another CPU"),
    )
    assert predicted_chart(manifest(**measured(20.0), verdicts=verdicts)) == ""


def test_candidates_have_a_row_each_with_both_models():
    record = refinement(candidate("a" * 12, 2.0), candidate("b" * 12, 3.0))
    chart = predicted_chart(manifest(refinement=record))
    assert [round(y) for _, y in circles(chart, "known-at")] == [32, 76]
    for (known, _), (before, _), (after, _) in zip(
        circles(chart, "known-at"), circles(chart, "before guess"), circles(chart, "after guess"), strict=True
    ):
        assert abs(after - known) < abs(before - known)


def test_a_candidate_alone_has_no_second_interval():
    record = refinement(candidate("a" * 12, 2.0, alone=True), after=None)
    chart = predicted_chart(manifest(refinement=record))
    assert circles(chart, "after guess") == []
    page = render_report(manifest(refinement=record))
    assert "predicted by the refined model" not in page


def test_the_artifact_is_not_held_against_a_model_that_was_fitted_to_it():
    known = refinement(candidate(NET, 18.0), candidate("b" * 12, 19.0))
    other = refinement(candidate("a" * 12, 18.0), candidate("b" * 12, 19.0))
    assert len(circles(predicted_chart(manifest(**measured(18.5), refinement=known)), "after guess")) == 2
    assert len(circles(predicted_chart(manifest(**measured(18.5), refinement=other)), "after guess")) == 3


def test_the_report_says_what_refining_did():
    record = refinement(candidate("a" * 12, 2.0), candidate("b" * 12, 3.0), notes=("<one> was left out",))
    page = render_report(manifest(refinement=record))
    assert "without measuring it would have been " + "f" * 12 in page
    assert "&lt;one&gt; was left out" in page
    assert "-0.400" in page
    stands = refinement(candidate(NET, 2.0), candidate("b" * 12, 3.0), first=NET)
    assert "The choice stands" in render_report(manifest(refinement=stands))


@pytest.mark.parametrize(("values", "least"), [([0.1, 30.0], 5), ([9.0, 10.0], 3), ([0.0, 1.0, 4.0], 2)])
def test_ticks_are_inside_a_logarithmic_axis(values, least):
    axis = LogAxis.over(values, 100.0, 800.0)
    places = [axis(tick) for tick in axis.ticks()]
    assert len(places) >= least
    assert all(100.0 <= place <= 800.0 for place in places)
    assert places == sorted(places)


def test_equal_factors_are_equal_lengths():
    axis = LogAxis.over([1.0, 100.0], 0.0, 900.0)
    assert axis(10.0) - axis(1.0) == pytest.approx(axis(100.0) - axis(10.0))
