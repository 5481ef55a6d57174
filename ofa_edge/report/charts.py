"""Bars: the stages' times and the parts of a latency, as inline SVG that takes its colours from the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.records.manifest import PartRecord, StageRecord
from ofa_edge.report.svg import drawing, element, label

WIDTH = 920.0
MOST_PARTS = 40
_LETTERS = 24  # of a bar's name


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
    """One bar a block, or operator: its share of the predicted latency, and the cost that weighs most in it.

    Of many, the dearest are shown in their order, and all others as one.
    """
    total = sum(part.ms for part in parts)
    shown = sorted(sorted(range(len(parts)), key=lambda place: -parts[place].ms)[:MOST_PARTS])
    bars = [
        _Bar(_end(part.name), part.ms, f"{part.ms:.3g} ms, {part.ms / total:.1%}: {part.bound}", "bar")
        for part in (parts[place] for place in shown)
        if total
    ]
    rest = total - sum(parts[place].ms for place in shown)
    if len(shown) < len(parts) and total:
        bars.append(_Bar(f"{len(parts) - len(shown)} others", rest, f"{rest:.3g} ms, {rest / total:.1%}", "bar cached"))
    return _bar_chart("Predicted latency of each part", bars)


def _end(name: str) -> str:
    """The end of a long name, which tells operators of one network apart."""
    return name if len(name) <= _LETTERS else "…" + name[1 - _LETTERS :]


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
