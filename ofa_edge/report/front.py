"""The Pareto front of a search: its intervals, what was evaluated and measured, named subnets to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.metrics import METRIC_NAMES
from ofa_edge.records.search import FrontPoint, ReferencePoint, SearchRecord
from ofa_edge.report.svg import Axis, drawing, element, grid, label, line

WIDTH, HEIGHT = 920.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 18.0, 34.0, 46.0
Z90 = 1.645
_CHARACTER = 6.4  # width of one, about, of the labels
_PLACES = ((9.0, -7.0, "start"), (9.0, 15.0, "start"), (-9.0, -7.0, "end"), (-9.0, 15.0, "end"))  # of a point's label


@dataclass(frozen=True)
class Chosen:
    """The subnet that a search chose, and the 90 % interval of its latency in milliseconds."""

    subnet: str
    low90: float
    high90: float


def front_chart(search: SearchRecord | None, chosen: Chosen | None) -> Markup:
    """Score over predicted latency.

    The band behind the front is the 90 % interval of the latency. A measured candidate stands at its measured top-1;
    the chosen one at what is expected of it, where that is known, with both intervals.
    """
    if search is None or not search.front:
        return Markup("")
    scale = 100.0 if search.objective == "top1" else 1e-6
    x, y = _axes(search, chosen, scale)
    parts = grid(x, y, "predicted latency, ms", f"{METRIC_NAMES[search.metric]}, %" if scale > 1 else "million MACs")
    parts += _cloud(x, y, search, scale)
    parts.append(_band(x, y, search.front, scale))
    parts += _budget(x, y, search.budget_ms)
    points = [(x(point.latency_ms), y(point.score * scale)) for point in search.front]
    parts.append(element("polyline", points=_path(points), class_="front"))
    radius = 2.6 if len(points) <= 60 else 1.8
    parts += [element("circle", cx=at, cy=height, r=radius, class_="front-point") for at, height in points]
    measured = [
        (x(each.latency_ms), y(100 * top1)) for each in search.candidates if (top1 := each.measured_top1) is not None
    ]
    found = None if chosen is None else _chosen(x, y, search, chosen, scale)
    taken = measured if found is None else [*measured, found[1]]
    parts += _references(x, y, search.references, scale, taken)
    parts += [element("circle", cx=at, cy=height, r=4, class_="measured") for at, height in measured]
    if found is not None:
        parts += found[0]
    return drawing(WIDTH, HEIGHT, "Pareto front of predicted accuracy against predicted latency", *parts)


def _axes(search: SearchRecord, chosen: Chosen | None, scale: float) -> tuple[Axis, Axis]:
    """From 0 ms to whatever is slowest; scores of all that is named, and as much of the cloud as falls between."""
    times = [0.0, search.budget_ms, *(point.latency_ms for point in search.front)]
    times += [item.latency_ms for item in search.candidates]
    times += [point.latency_ms for point in search.references] + ([chosen.high90] if chosen else [])
    scores = [point.score * scale for point in search.front] + [item.score * scale for item in search.candidates]
    scores += [point.score * scale for point in search.references]
    scores += [100 * item.measured_top1 for item in search.candidates if item.measured_top1 is not None]
    x = Axis.over(times, LEFT, WIDTH - RIGHT, margin=0.03)
    return Axis(0.0, x.high, LEFT, WIDTH - RIGHT), Axis.over(scores, HEIGHT - BOTTOM, TOP)


def _cloud(x: Axis, y: Axis, search: SearchRecord, scale: float) -> list[Markup]:
    """What falls inside the frame; the frame is not stretched for the worst."""
    inside = [(ms, score * scale) for ms, score in search.cloud if ms <= x.high and y.low <= score * scale <= y.high]
    return [element("circle", cx=x(ms), cy=y(score), r=1.7, class_="cloud") for ms, score in inside]


def _band(x: Axis, y: Axis, front: Sequence[FrontPoint], scale: float) -> Markup:
    sure = [point for point in front if point.low90 is not None and point.high90 is not None]
    low = [(x(point.low90 or 0.0), y(point.score * scale)) for point in sure]
    high = [(min(x(point.high90 or 0.0), x.end), y(point.score * scale)) for point in sure]
    return element("polygon", points=_path([*low, *reversed(high)]), class_="band")


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{at:.2f},{height:.2f}" for at, height in points)


def _chosen(
    x: Axis, y: Axis, search: SearchRecord, chosen: Chosen, scale: float
) -> tuple[list[Markup], tuple[float, float]] | None:
    """The marks of the chosen subnet, and where it stands in pixels; None where the search does not have it."""
    at: tuple[float, float] | None = None
    error = 0.0
    for point in search.front:
        if point.subnet == chosen.subnet:
            at = (point.latency_ms, point.score * scale)
    for item in search.candidates:
        if item.subnet == chosen.subnet:
            expected = item.score if item.expected_top1 is None else item.expected_top1
            at, error = (item.latency_ms, expected * scale), Z90 * scale * (item.expected_sd or 0.0)
    if at is None:
        return None
    left, right, middle, height = x(chosen.low90), x(chosen.high90), x(at[0]), y(at[1])
    parts = [line(left, height, right, height, class_="interval")]
    parts += [line(end, height - 5.0, end, height + 5.0, class_="interval") for end in (left, right)]
    if error:
        ends = [min(max(y(at[1] + sign * error), TOP), y.start) for sign in (1, -1)]
        parts.append(line(middle, ends[0], middle, ends[1], class_="interval"))
        parts += [line(middle - 5.0, end, middle + 5.0, end, class_="interval") for end in ends]
    parts.append(element("circle", cx=middle, cy=height, r=6, class_="chosen"))
    return parts, (middle, height)


def _references(
    x: Axis, y: Axis, references: Sequence[ReferencePoint], scale: float, taken: list[tuple[float, float]]
) -> list[Markup]:
    """Diamonds with names, each name on the first side where it overlaps no other name and no other mark."""
    parts: list[Markup] = []
    marks = taken + [(x(item.latency_ms), y(item.score * scale)) for item in references]
    names: list[tuple[float, float, float]] = []  # left, right, base line
    for item in references:
        at, height = x(item.latency_ms), y(item.score * scale)
        diamond = _path([(at, height - 6), (at + 6, height), (at, height + 6), (at - 6, height)])
        parts.append(element("polygon", points=diamond, class_="reference"))
        for dx, dy, anchor in _PLACES:
            left = at + dx - (len(item.name) * _CHARACTER if anchor == "end" else 0.0)
            box = (left, left + len(item.name) * _CHARACTER, height + dy)
            if x.start < box[0] and box[1] < x.end and not _crowded(box, names, marks):
                break
        names.append(box)
        parts.append(label(at + dx, height + dy, item.name, class_="reference-name", text_anchor=anchor))
    return parts


def _crowded(
    box: tuple[float, float, float], names: list[tuple[float, float, float]], marks: list[tuple[float, float]]
) -> bool:
    left, right, base = box
    on_names = any(left < other[1] and other[0] < right and abs(base - other[2]) < 13 for other in names)
    return on_names or any(left - 6 < at < right + 6 and base - 16 < height < base + 6 for at, height in marks)


def _budget(x: Axis, y: Axis, budget_ms: float) -> list[Markup]:
    at = x(budget_ms)
    late = at > (x.start + x.end) / 2
    return [
        element("rect", x=at, y=y.end, width=max(x.end - at, 0.0), height=y.start - y.end, class_="over-budget"),
        line(at, y.end, at, y.start, class_="budget"),
        label(
            at + (-8 if late else 8),
            y.end - 8,
            f"budget {budget_ms:.3g} ms",
            class_="budget-name",
            text_anchor="end" if late else "start",
        ),
    ]
