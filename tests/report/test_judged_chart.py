"""The chart at the end of a calibration."""

import xml.etree.ElementTree as ET

from html_page import HOSTILE

from ofa_edge.report.judged import Judged, judged_chart

POINTS = [Judged(1.0, 1.1, 0.9, 1.3), Judged(2.0, 1.8, 1.5, 2.2), Judged(4.0, 4.4, 3.0, 5.0)]


def marks(chart: str, name: str, style: str) -> list[dict[str, str]]:
    root = ET.fromstring(chart)
    return [each.attrib for each in root.iter(f"{{http://www.w3.org/2000/svg}}{name}") if each.get("class") == style]


def test_every_network_has_a_point_and_an_interval():
    chart = str(judged_chart("title", "mean error 8.7 %", POINTS))
    dots, bars = marks(chart, "circle", "foreseen"), marks(chart, "line", "before reach90")
    assert len(dots) == len(bars) == 3
    assert [float(each["cx"]) for each in dots] == sorted(float(each["cx"]) for each in dots)
    for dot, bar in zip(dots, bars, strict=True):
        assert float(bar["y2"]) < float(dot["cy"]) < float(bar["y1"])  # up is slower
    assert "mean error 8.7 %" in chart


def test_what_is_above_the_diagonal_was_predicted_too_slow():
    chart = str(judged_chart("t", "s", POINTS))
    (diagonal,) = marks(chart, "line", "diagonal")
    x1, y1, x2, y2 = (float(diagonal[key]) for key in ("x1", "y1", "x2", "y2"))
    for dot, point in zip(marks(chart, "circle", "foreseen"), POINTS, strict=True):
        right = y1 + (float(dot["cx"]) - x1) / (x2 - x1) * (y2 - y1)
        assert (float(dot["cy"]) < right) == (point.predicted > point.measured)


def test_names_are_escaped():
    assert "<script" not in judged_chart(HOSTILE, HOSTILE, POINTS)
