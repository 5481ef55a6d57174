"""The roofline of an accelerator: operations a second against operations for each byte of off-chip traffic.

Williams et al., CACM 2009; two operations for each multiply-accumulate, as the Once-For-All paper counts them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ofa_edge.report.svg import drawing, element, label, line

WIDTH, HEIGHT = 920.0, 460.0
LEFT, RIGHT, TOP, BOTTOM = 80.0, 240.0, 30.0, 60.0


class Spot(NamedTuple):
    """A network, or one of its layers: operations for each byte, and 1e9 operations a second.

    `style` is a class of the charts' sheet: "chosen", "reference" for others' networks, "foreseen" for all else.
    """

    name: str
    intensity: float
    gops: float
    style: str = "foreseen"


def roofline_chart(roof_gops: float, offchip_gbps: float, spots: Sequence[Spot], crowd: Sequence[Spot] = ()) -> Markup:
    """Both axes logarithmic; the roof is the lower of what the multipliers and the memory give.

    Args:
        roof_gops: of the accelerator.
        offchip_gbps: of the memory behind its chip.
        spots: with numbers, and names beside the picture.
        crowd: without.
    """
    shown = [each for each in spots if each.intensity > 0 and each.gops > 0]
    crowd = [each for each in crowd if each.intensity > 0 and each.gops > 0]
    if not shown:
        return Markup("")
    ridge = roof_gops / offchip_gbps if offchip_gbps else min(each.intensity for each in shown)
    x = _Decades([*(each.intensity for each in (*shown, *crowd)), ridge], LEFT, WIDTH - RIGHT)
    y = _Decades([*(each.gops for each in (*shown, *crowd)), roof_gops], HEIGHT - BOTTOM, TOP)
    parts = [*x.marks("ops / byte off chip", HEIGHT - BOTTOM, across=False), *y.marks("GOPS/s", LEFT, across=True)]
    first = max(x.low, y.low / offchip_gbps) if offchip_gbps else x.low
    if offchip_gbps:
        parts.append(line(x(first), y(first * offchip_gbps), x(ridge), y(roof_gops), class_="diagonal"))
    parts.append(line(x(max(ridge, x.low)), y(roof_gops), x(x.high), y(roof_gops), class_="diagonal"))
    parts += [element("circle", cx=x(each.intensity), cy=y(each.gops), r=4, class_="cloud") for each in crowd]
    for each in reversed(shown):  # the first is on top
        parts.append(element("circle", cx=x(each.intensity), cy=y(each.gops), r=5, class_=each.style))
    for number, each in enumerate(shown, 1):
        parts.append(label(x(each.intensity) + 8, y(each.gops) + 4, str(number), class_="tick"))
        parts.append(label(WIDTH - RIGHT + 14, TOP + 20 * number, f"{number}  {each.name}", class_="tick"))
    return drawing(WIDTH, HEIGHT, "Roofline: GOPS/s against operations for each byte", *parts)


class _Decades:
    """A logarithmic axis over whole decades."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = 10.0 ** math.floor(math.log10(min(values)))
        self.high = 10.0 ** math.ceil(math.log10(max(values)) + 1e-9)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = math.log10(value / self.low) / math.log10(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def marks(self, name: str, at: float, *, across: bool) -> list[Markup]:
        """Ticks at the decades, and the name."""
        parts, value = [], self.low
        while value <= self.high * 1.001:
            place = self(value)
            if across:
                parts.append(line(at, place, WIDTH - RIGHT, place, class_="grid"))
                parts.append(label(at - 8, place + 4, f"{value:g}", class_="tick", text_anchor="end"))
            else:
                parts.append(line(place, at, place, at + 5, class_="axis"))
                parts.append(label(place, at + 19, f"{value:g}", class_="tick", text_anchor="middle"))
            value *= 10
        if across:
            parts.append(label(at - 60, TOP - 12, name, class_="name"))
        else:
            middle = (self.start + self.end) / 2
            parts.append(label(middle, at + 42, name, class_="name", text_anchor="middle"))
        return parts
