"""Bars: the stages' times and the parts of a latency, as inline SVG that takes its colours from the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.records.manifest import PartRecord, StageRecord
from ofa_edge.report.svg import drawing, element, label

WIDTH = 920.0


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
