"""The trend of each nightly series: candidate against golden, night by night, as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.records.night import NightRecord, SeriesRecord
from ofa_edge.report.svg import Axis, drawing, element, label, line, tick_text

NIGHTS = 60  # that a chart shows
_WIDTH, _HEIGHT = 920.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 18.0, 16.0, 34.0
_LEAST_REACH = 1.5  # percent around zero that a chart shows at least; of latency, which is known less well:
_LATENCY_REACH = 6.0


@dataclass(frozen=True)
class Point:
    """One night of one series.

    Attributes:
        night: its place in the history.
        item: the record.
        percent: candidate against golden; None where there is no figure.
        new_golden: the baseline or the device changed since the last night.
    """

    night: int
    item: SeriesRecord
    percent: float | None
    new_golden: bool


@dataclass(frozen=True)
class Trend:
    """A series over the last nights, oldest first."""

    key: str
    points: tuple[Point, ...]

    @property
    def last(self) -> SeriesRecord:
        """Of the last night that has the series."""
        return self.points[-1].item


def trends(nights: Sequence[NightRecord], most: int = NIGHTS) -> list[Trend]:
    """All series of the last night, those first that weigh most."""
    if not nights:
        return []
    order = {"RED": 0, "YELLOW": 1, "INCONCLUSIVE": 2, "GREEN": 3}
    found: dict[str, list[Point]] = {item.key: [] for item in nights[-1].series}
    first = max(0, len(nights) - most)
    for number, night in enumerate(nights[first:], first + 1):
        for item in night.series:
            points = found.get(item.key)
            if points is not None:
                before = points[-1].item if points else item
                changed = (before.golden_sha256, before.fingerprint) != (item.golden_sha256, item.fingerprint)
                points.append(Point(number, item, percent_of(item), changed))
    made = [Trend(key, tuple(points)) for key, points in found.items()]
    return sorted(made, key=lambda trend: (order[trend.last.colour], trend.key))


def percent_of(item: SeriesRecord) -> float | None:
    """Candidate against golden: percent, or points of accuracy lost; + is worse."""
    if item.unit == "share" and item.golden is not None and item.candidate is not None:
        return 100 * (item.golden - item.candidate)
    if item.ratio is not None:
        return 100 * math.expm1(item.ratio)
    if item.golden and item.candidate is not None:
        return 100 * (item.candidate / item.golden - 1)
    return None


def trend_chart(trend: Trend) -> Markup:
    """A dot a night in its verdict's colour, shaded up to what that night could not have seen; or nothing."""
    known = [(point, point.percent) for point in trend.points if point.percent is not None]
    if not known:
        return Markup("")
    name = "points of accuracy lost" if trend.last.unit == "share" else "candidate over golden, %"
    least = _LATENCY_REACH if trend.last.gate == "latency" else _LEAST_REACH
    reach = [least, -least, *(percent for _, percent in known)]
    y = Axis.over(reach, _HEIGHT - _BOTTOM, _TOP)
    nights = [point.night for point in trend.points]
    x = Axis(nights[0] - 0.5, max(nights[-1], nights[0] + 9) + 0.5, _LEFT, _WIDTH - _RIGHT)
    parts = [*_grid(x, y, name), *_unseen(x, y, trend), *_epochs(x, y, trend)]
    path = " ".join(f"{x(point.night):.2f},{y(percent):.2f}" for point, percent in known)
    parts.append(element("polyline", points=path, class_="trend"))
    parts += [
        element("circle", cx=x(point.night), cy=y(percent), r=4, class_=f"dot {point.item.colour.lower()}")
        for point, percent in known
    ]
    return drawing(_WIDTH, _HEIGHT, f"Trend of {trend.key}", *parts)


def _grid(x: Axis, y: Axis, name: str) -> list[Markup]:
    parts, ticks = [], y.ticks(4)
    for value in ticks:
        parts.append(line(x.start, y(value), x.end, y(value), class_="zero" if abs(value) < 1e-9 else "grid"))
        parts.append(label(x.start - 8, y(value) + 4, tick_text(value, ticks), class_="tick", text_anchor="end"))
    for value in x.ticks(10):
        if value == int(value):
            parts.append(label(x(value), y.start + 18, f"{value:.0f}", class_="tick", text_anchor="middle"))
    parts.append(label(x.start, y.end - 5, name, class_="name"))
    parts.append(label(x.end, y.start + 31, "night", class_="name", text_anchor="end"))
    return parts


def _unseen(x: Axis, y: Axis, trend: Trend) -> list[Markup]:
    """Up to the smallest regression that each night could have seen."""
    parts = []
    for point in trend.points:
        if point.item.visible is not None:
            top = y(min(100 * math.expm1(point.item.visible), y.high))
            left, right = max(x(point.night - 0.5), x.start), x(point.night + 0.5)
            parts.append(element("rect", x=left, y=top, width=right - left, height=y(0.0) - top, class_="unseen"))
    return parts


def _epochs(x: Axis, y: Axis, trend: Trend) -> list[Markup]:
    return [
        line(x(point.night - 0.5), y.end, x(point.night - 0.5), y.start, class_="epoch")
        for point in trend.points
        if point.new_golden
    ]
