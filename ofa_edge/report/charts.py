"""The Pareto front and the stages' times, as inline SVG that takes its colours from the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.manifest import Manifest, PartRecord, StageRecord
from ofa_edge.report.svg import Axis, drawing, element, label, line, tick_text
from ofa_edge.searched import SearchRecord

WIDTH, HEIGHT = 920.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 18.0, 30.0, 46.0


def front_chart(manifest: Manifest) -> Markup:
    """Predicted score over predicted latency, with the budget, the chosen subnet, and what was measured of it."""
    search = manifest.search
    if search is None or not search.front:
        return Markup("")
    scale = 100.0 if search.objective == "top1" else 1e-6
    points = [(point.latency_ms, point.score * scale) for point in search.front]
    measured = [(c.latency_ms, 100 * c.measured_top1) for c in search.candidates if c.measured_top1 is not None]
    interval = (manifest.prediction.low90, manifest.prediction.high90)
    x = Axis.over([0.0, *(at for at, _ in points), search.budget_ms, interval[1]], LEFT, WIDTH - RIGHT, margin=0.03)
    x = Axis(0.0, x.high, LEFT, WIDTH - RIGHT)
    y = Axis.over([score for _, score in points] + [score for _, score in measured], HEIGHT - BOTTOM, TOP)
    chosen = _chosen(manifest, search, scale)
    parts = [*_grid(x, y, "predicted latency, ms", _score_name(search)), *_budget(x, y, search.budget_ms)]
    path = " ".join(f"{x(at):.2f},{y(score):.2f}" for at, score in points)
    parts.append(element("polyline", points=path, class_="front"))
    parts += [element("circle", cx=x(at), cy=y(score), r=2.6, class_="front-point") for at, score in points]
    parts += [element("circle", cx=x(at), cy=y(score), r=4, class_="measured") for at, score in measured]
    if chosen is not None:
        at, score = chosen
        parts.append(line(x(interval[0]), y(score), x(interval[1]), y(score), class_="interval"))
        parts += [
            line(x(end), y(score) - 5.0, x(end), y(score) + 5.0, class_="interval") for end in interval
        ]  # the whiskers' ends
        parts.append(element("circle", cx=x(at), cy=y(score), r=6, class_="chosen"))
    return drawing(WIDTH, HEIGHT, "Pareto front of predicted accuracy against predicted latency", *parts)


def _score_name(search: SearchRecord) -> str:
    return "top-1, %" if search.objective == "top1" else "million MACs"


def _chosen(manifest: Manifest, search: SearchRecord, scale: float) -> tuple[float, float] | None:
    places = {point.subnet: (point.latency_ms, point.score * scale) for point in search.front}
    places.update({item.subnet: (item.latency_ms, item.score * scale) for item in search.candidates})
    return places.get(manifest.subnet.id)


def _grid(x: Axis, y: Axis, x_name: str, y_name: str) -> list[Markup]:
    parts = []
    ticks = y.ticks(5)
    for value in ticks:
        parts.append(line(x.start, y(value), x.end, y(value), class_="grid"))
        parts.append(label(x.start - 8, y(value) + 4, tick_text(value, ticks), class_="tick", text_anchor="end"))
    ticks = x.ticks(9)
    for value in ticks:
        parts.append(line(x(value), y.start, x(value), y.start + 5, class_="axis"))
        parts.append(label(x(value), y.start + 19, tick_text(value, ticks), class_="tick", text_anchor="middle"))
    parts.append(line(x.start, y.start, x.end, y.start, class_="axis"))
    parts.append(label((x.start + x.end) / 2, y.start + 40, x_name, class_="name", text_anchor="middle"))
    parts.append(label(x.start - 46, y.end - 14, y_name, class_="name"))
    return parts


def _budget(x: Axis, y: Axis, budget_ms: float) -> list[Markup]:
    at = x(budget_ms)
    late = at > (x.start + x.end) / 2
    return [
        element("rect", x=at, y=y.end, width=max(x.end - at, 0.0), height=y.start - y.end, class_="over-budget"),
        line(at, y.end, at, y.start, class_="budget"),
        label(
            at + (-8 if late else 8),
            y.end + 14,
            f"budget {budget_ms:.3g} ms",
            class_="budget-name",
            text_anchor="end" if late else "start",
        ),
    ]


def stage_chart(stages: tuple[StageRecord, ...]) -> Markup:
    """One bar a stage, as long as it took in this build; a stage from the cache says what making it had taken."""
    bars = []
    for stage in stages:
        note = f"{stage.seconds:.2f} s"
        if stage.cached:
            made = f", made in {stage.produced_seconds:.1f} s" if stage.produced_seconds is not None else ""
            note += f"  from cache{made}"
        bars.append(_Bar(stage.name, stage.seconds, note, "bar cached" if stage.cached else "bar"))
    return _bar_chart("Wall time of each stage", bars)


def parts_chart(parts: tuple[PartRecord, ...]) -> Markup:
    """One bar a block: its share of the predicted latency, and the cost that weighs most in it."""
    total = sum(part.ms for part in parts)
    bars = [
        _Bar(part.name, part.ms, f"{part.ms:.3g} ms, {part.ms / total:.1%}: {part.bound}", "bar")
        for part in parts
        if total
    ]
    return _bar_chart("Predicted latency of each block", bars)


@dataclass(frozen=True)
class _Bar:
    name: str
    value: float
    note: str
    style: str


def _bar_chart(title: str, bars: Sequence[_Bar]) -> Markup:
    if not bars:
        return Markup("")
    row, names, values = 26.0, 170.0, 190.0
    longest = max(1e-9, *(bar.value for bar in bars))
    parts = []
    for index, bar in enumerate(bars):
        top = index * row + 4
        length = max(bar.value / longest * (WIDTH - names - values), 2.0)
        parts.append(label(names - 12, top + 14, bar.name, class_="stage-name", text_anchor="end"))
        parts.append(element("rect", x=names, y=top + 2, width=length, height=row - 10, rx=3, class_=bar.style))
        parts.append(label(names + length + 8, top + 14, bar.note, class_="tick"))
    return drawing(WIDTH, len(bars) * row + 8, title, *parts)
