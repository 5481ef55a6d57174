"""SVG elements and axes: escaped, with fixed decimals, so that one manifest gives one byte string."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from ofa_edge.shown import printable

Attribute = str | float | int


def element(name: str, *children: str | Markup, **attributes: Attribute) -> Markup:
    """One element. `class_` is `class`, other underscores are hyphens; text children are escaped, Markup is not."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value)) for key, value in attributes.items()
    )
    inside = Markup("").join(escape(shown_text(child)) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, pairs, inside)


def shown_text(value: Any) -> Any:
    """A text of anybody's for a page: what would turn the letters around it is written as an escape, markup is not."""
    return printable(value, keep="\n") if type(value) is str else value


def label(x: float, y: float, text: str, **attributes: Attribute) -> Markup:
    """Text at a point."""
    return element("text", text, x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Attribute) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def drawing(width: float, height: float, title: str, *children: Markup) -> Markup:
    """A picture that scales with the page; `title` is read out by screen readers."""
    box = f"0 0 {_text(width)} {_text(height)}"
    size: dict[str, Attribute] = {"viewBox": box, "width": width, "height": height}
    return element("svg", element("title", title), *children, **size, role="img", class_="chart")


def _text(value: Attribute) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else shown_text(str(value))


@dataclass(frozen=True)
class Axis:
    """A linear map from values to pixels, with round ticks."""

    low: float
    high: float
    start: float  # pixels at `low`
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, margin: float = 0.06) -> "Axis":
        """An axis that holds all values, with some room at both ends."""
        low, high = min(values), max(values)
        room = (high - low) * margin or abs(high) * margin or 1.0
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Pixels of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 6) -> list[float]:
        """Round values inside the axis: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
        first = math.ceil(self.low / step)
        return [index * step for index in range(first, math.floor(self.high / step) + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """A tick's label, with as many decimals as the step needs."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def levels(x: Axis, y: Axis) -> list[Markup]:
    """Lines across a chart at round values of its upright axis, which stand beside them."""
    parts = []
    ticks = y.ticks(5)
    for value in ticks:
        parts.append(line(x.start, y(value), x.end, y(value), class_="grid"))
        parts.append(label(x.start - 8, y(value) + 4, tick_text(value, ticks), class_="tick", text_anchor="end"))
    return parts


def grid(x: Axis, y: Axis, x_name: str, y_name: str) -> list[Markup]:
    """Both axes of a chart: lines across, ticks below, and their names."""
    parts = levels(x, y)
    ticks = x.ticks(9)
    for value in ticks:
        parts.append(line(x(value), y.start, x(value), y.start + 5, class_="axis"))
        parts.append(label(x(value), y.start + 19, tick_text(value, ticks), class_="tick", text_anchor="middle"))
    parts.append(line(x.start, y.start, x.end, y.start, class_="axis"))
    parts.append(label((x.start + x.end) / 2, y.start + 40, x_name, class_="name", text_anchor="middle"))
    parts.append(label(x.start - 46, y.end - 14, y_name, class_="name"))
    return parts
