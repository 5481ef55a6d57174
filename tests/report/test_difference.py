"""What moved between two manifests, and how it is said."""

import pytest
from html_page import HOSTILE, Page
from manifests import facts, manifest

from ofa_edge.records.manifest import DeviceMeasurement, LatencyMeasurement, PartRecord, Verdict
from ofa_edge.report.aligned import Operator, aligned
from ofa_edge.report.diff import render_diff, shown
from ofa_edge.report.difference import (
    Difference,
    environment_rows,
    figures,
    gate_rows,
    network_rows,
    predicted_parts,
    times,
)

ONE = manifest()


def measured(ms: float, name: str = "my-pi", code: str = "within-budget"):
    """The manifest with a latency that was measured."""
    latency = LatencyMeasurement(
        p50=ms, p90=ms, min=ms, mad=0.1, low95=0.98 * ms, high95=1.02 * ms, runs=500, sessions=5
    )
    device = DeviceMeasurement(name=name, kind="physical", connection="ssh", fingerprint={}, latency_ms=latency)
    outcome = "unverified" if code == "not-the-target" else "pass"
    verdicts = (*facts()["verdicts"][:2], Verdict(gate="latency", outcome=outcome, code=code, reason="in words"))
    return manifest(measurements=(device,), labels=(), verdicts=verdicts)


def less_accurate(points: float):
    parts = facts()
    ladder = tuple(rung.model_copy(update={"top1": rung.top1 - points / 100}) for rung in parts["ladder"])
    return manifest(ladder=ladder)


def difference(one, other, **changes) -> Difference:
    common = {
        "before": "a",
        "after": "b",
        "network": network_rows(one, other),
        "figures": figures(one, other),
        "operators": (),
        "times": (),
        "parts": predicted_parts(one, other),
        "gates": gate_rows(one, other),
        "environment": environment_rows(one, other),
    }
    return Difference(**{**common, **changes})


def test_a_build_does_not_differ_from_itself():
    found = difference(ONE, ONE)
    assert found.network == found.gates == found.environment == ()
    assert {shown(item).change for item in found.figures} == {"same"}


@pytest.mark.parametrize(("points", "words"), [(0.5, "may be chance"), (4.0, "points (-5")])
def test_accuracy_has_an_interval_that_says_what_chance_can_do(points, words):
    item = next(item for item in figures(ONE, less_accurate(points)) if item.name == "top-1")
    low, high = item.change
    assert low < -points / 100 < high
    assert (high < 0) == (points > 2)
    assert words in shown(item).change


def test_measured_is_held_against_measured_and_predicted_against_predicted():
    labels = [(item.label, item.before is None) for item in figures(ONE, measured(18.0)) if item.name == "latency"]
    assert labels == [
        ("measured on my-pi, 95 % over sessions", True),
        ("predicted, published, 90 %; not measured", False),
    ]
    item = next(item for item in figures(measured(20.0), measured(18.0)) if item.unit == "ms" and item.before)
    assert shown(item).change == "-10.0 %"
    assert shown(item).before == "20 ms (19.6 .. 20.4)"
    near = next(item for item in figures(measured(20.0), measured(20.2)) if item.unit == "ms" and item.before)
    assert "intervals overlap" in shown(near).change


def test_a_time_of_another_machine_is_not_held_against_the_targets():
    found = figures(measured(20.0, "local", "not-the-target"), measured(18.0, "local"))
    rows = [item for item in found if item.label.startswith("measured on")]
    assert [shown(item).change for item in rows] == ["in one build only"] * 2


def test_blocks_gates_and_environment_are_told_where_they_differ():
    parts = facts()
    subnet = parts["subnet"].model_copy(
        update={"id": "0" * 12, "resolution": 28, "stages": (((5, 4),), *parts["subnet"].stages[1:])}
    )
    failed = (Verdict(gate="parity", outcome="fail", code="over", reason="far off"), *parts["verdicts"][1:])
    other = manifest(subnet=subnet, verdicts=failed, seed=7, versions={"torch": "9"})
    found = difference(ONE, other)
    assert [row.name for row in found.network] == ["network", "input, pixels", "stage 1"]
    assert found.network[-1].after == "5x5 e4"
    assert [(row.name, row.after) for row in found.gates] == [("parity", "fail: far off")]
    assert {"seed", "version of torch"} <= {row.name for row in found.environment}


def test_predicted_parts_are_of_one_target_only():
    part = PartRecord(name="stem", ms=0.5, bound="memory")
    one = manifest(prediction=ONE.prediction.model_copy(update={"parts": (part,)}))
    assert predicted_parts(one, one) == times({"stem": 0.5}, {"stem": 0.5})
    elsewhere = one.model_copy(update={"target": ONE.target.model_copy(update={"name": "pixel-4"})})
    assert predicted_parts(one, elsewhere) == ()


def test_times_of_both_are_told_by_name():
    found = times({"CONV_2D 0": 1.0, "RELU 1": 0.5}, {"CONV_2D 0": 0.8, "ADD 1": 0.1})
    assert [(item.name, item.before_ms, item.after_ms) for item in found] == [
        ("CONV_2D 0", 1.0, 0.8),
        ("RELU 1", 0.5, None),
        ("ADD 1", None, 0.1),
    ]


def test_the_page_has_it_all_and_escapes_it():
    operators = tuple(
        aligned([Operator(HOSTILE, "Conv 3x3", "1x8x4x4")], [Operator("n", f"Conv {HOSTILE}", "1x8x4x4")])
    )
    found = difference(ONE, less_accurate(4.0), operators=operators, times=times({HOSTILE: 1.0}, {}), before=HOSTILE)
    html = render_diff(found)
    page = Page(html)
    assert "<script" not in html
    assert "default-src 'none'" in html
    for words in ("91.80 %", "1.9 MB", "1 changed", "predicted, published", HOSTILE):
        assert words in page.text
