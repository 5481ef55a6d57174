"""Predicted against measured: one row a network, its intervals above each other and the measurement through them.

The axis is logarithmic: an interval is a factor either way, and a model that was never fitted may be off by several.
"""

import math
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.records.manifest import Manifest
from ofa_edge.records.refinement import IntervalRecord
from ofa_edge.report.svg import Axis, drawing, element, label, line

WIDTH, ROW = 920.0, 44.0
NAMES, NOTES, TOP, BOTTOM = 150.0, 110.0, 10.0, 46.0


@dataclass(frozen=True)
class _Row:
    name: str
    measured: tuple[float, float, float]  # low, median, high
    before: IntervalRecord | None = None
    after: IntervalRecord | None = None

    @property
    def values(self) -> list[float]:
        """Everything that must find room on the axis."""
        bands = [band for band in (self.before, self.after) if band is not None]
        return [*self.measured, *(end for band in bands for end in (band.low90, band.high90))]


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic map from milliseconds to pixels."""

    logs: Axis

    @classmethod
    def over(cls, values: list[float], start: float, end: float) -> "LogAxis":
        """The axis that shows all values above 0 between the pixels `start` and `end`."""
        return cls(Axis.over([math.log(value) for value in values if value > 0], start, end, margin=0.04))

    def __call__(self, value: float) -> float:
        """Pixels; 0 ms, which is nowhere on the axis, is its start."""
        return self.logs(math.log(value)) if value > 0 else self.logs.start

    def ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten; round steps where those are too few."""
        low, high = math.exp(self.logs.low), math.exp(self.logs.high)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        round_ones = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        found = [value for value in round_ones if low <= value <= high]
        return found if len(found) > 3 else Axis(low, high, 0.0, 1.0).ticks(6)


def predicted_chart(manifest: Manifest) -> Markup:
    """Every network that was measured on hardware; nothing where none was."""
    rows = _rows(manifest)
    if not rows:
        return Markup("")
    x = LogAxis.over([value for row in rows for value in row.values], NAMES, WIDTH - NOTES)
    base = TOP + ROW * len(rows)
    parts = [*_scale(x, base)]
    for index, row in enumerate(rows):
        parts += _row(x, TOP + ROW * (index + 0.5), row)
    return drawing(WIDTH, base + BOTTOM, "Predicted against measured latency, in milliseconds", *parts)


def _rows(manifest: Manifest) -> list[_Row]:
    rows = []
    if manifest.refinement is not None:
        for item in manifest.refinement.candidates:
            measured = (item.low95, item.measured_ms, item.high95)
            rows.append(_Row(item.subnet, measured, item.before, item.after))
    elsewhere = any(verdict.code == "not-the-target" for verdict in manifest.verdicts)
    timed = [item.latency_ms for item in manifest.measurements if item.latency_ms is not None and not elsewhere]
    for latency in timed[-1:]:
        measured = (latency.low95, latency.p50, latency.high95)
        refined = manifest.refinement is not None  # `prediction` is then the refined model's
        known = any(row.name == manifest.network_id for row in rows)  # and that model was fitted to this very network
        prediction = None if refined and known else manifest.prediction
        rows.append(
            _Row("artifact", measured, None if refined else prediction, prediction if refined else None),
        )
    return rows


def _scale(x: LogAxis, base: float) -> list[Markup]:
    ticks = x.ticks()
    parts = [line(x(value), TOP, x(value), base, class_="grid") for value in ticks]
    parts += [label(x(value), base + 19, f"{value:.4g}", class_="tick", text_anchor="middle") for value in ticks]
    parts.append(line(x.logs.start, base, x.logs.end, base, class_="axis"))
    parts.append(
        label(
            (x.logs.start + x.logs.end) / 2, base + 40, "latency, ms (logarithmic)", class_="name", text_anchor="middle"
        )
    )
    return parts


def _row(x: LogAxis, y: float, row: _Row) -> list[Markup]:
    low, median, high = row.measured
    parts = [label(NAMES - 12, y + 4, row.name, class_="stage-name", text_anchor="end")]
    for band, style, aside in ((row.before, "before", -9.0), (row.after, "after", 9.0)):
        if band is not None:
            parts += _band(x, y + aside, band, style)
    parts.append(line(x(median), y - 16, x(median), y + 16, class_="row"))
    parts.append(line(x(low), y, x(high), y, class_="known"))
    parts.append(element("circle", cx=x(median), cy=y, r=4.5, class_="known-at"))
    best = row.after or row.before
    if best is not None:
        parts.append(label(x.logs.end + 10, y + 4, f"{median:.3g} ms, {best.ms / median - 1:+.0%}", class_="tick"))
    else:
        parts.append(label(x.logs.end + 10, y + 4, f"{median:.3g} ms", class_="tick"))
    return parts


def _band(x: LogAxis, y: float, band: IntervalRecord, style: str) -> list[Markup]:
    """A thin line for 90 %, a thick one for 50 %, a dot for the median."""
    return [
        line(x(band.low90), y, x(band.high90), y, class_=f"{style} reach90"),
        line(x(band.low50), y, x(band.high50), y, class_=f"{style} reach50"),
        element("circle", cx=x(band.ms), cy=y, r=4, class_=f"{style} guess"),
    ]
