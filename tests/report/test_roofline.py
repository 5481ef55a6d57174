"""The roofline: what stands where, by coordinates that are read back from the picture."""

import re

import pytest

from ofa_edge.report.roofline import Spot, roofline_chart


def circles(chart: str, style: str) -> list[tuple[float, float]]:
    found = [re.findall(r'(cx|cy|class)="([^"]+)"', each) for each in re.findall(r"<circle[^>]*>", chart)]
    return [(float(dict(each)["cx"]), float(dict(each)["cy"])) for each in found if dict(each)["class"] == style]


def test_more_is_further_right_and_higher_and_decades_are_even():
    spots = [Spot("a", 1.5, 2.0, "chosen"), Spot("b", 15.0, 20.0), Spot("c", 150.0, 200.0, "reference")]
    chart = str(roofline_chart(1000.0, 10.0, spots, [Spot("layer", 5.0, 30.0)]))
    (a,), (b,), (c,) = (circles(chart, style) for style in ("chosen", "foreseen", "reference"))
    assert 0 < b[0] - a[0] == pytest.approx(c[0] - b[0])
    assert 0 < a[1] - b[1] == pytest.approx(b[1] - c[1])
    assert len(circles(chart, "cloud")) == 1
    assert ">1  a<" in chart
    assert "layer" not in chart


def test_what_moves_nothing_or_does_nothing_has_no_place():
    assert roofline_chart(10.0, 1.0, [Spot("a", 0.0, 1.0), Spot("b", 1.0, 0.0)]) == ""
