"""Networks that a latency model has not seen: what it predicted of each, and what was measured."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from ofa_edge.report.picture import HEAD, MARGIN, document
from ofa_edge.report.svg import Axis, element, grid, line

WIDTH, HEIGHT = 620.0, 500.0
LEFT, BOTTOM = 90.0, 60.0


class Judged(NamedTuple):
    """One network, in milliseconds; `low90` and `high90` are of the prediction."""

    measured: float
    predicted: float
    low90: float
    high90: float


def judged_chart(title: str, subtitle: str, points: Sequence[Judged]) -> Markup:
    """Predicted against measured latency with the predictions' 90 % intervals, as a file of its own.

    On the dashed diagonal a prediction is right. Both axes start where the fastest does.
    """
    values = [value for point in points for value in point if math.isfinite(value)]
    x = Axis.over(values, LEFT, WIDTH - MARGIN)
    y = Axis(x.low, x.high, HEIGHT - BOTTOM, HEAD + 34)
    parts = grid(x, y, "measured, ms", "predicted, ms; lines: 90 %")
    parts.append(line(x(x.low), y(x.low), x(x.high), y(x.high), class_="diagonal"))
    for point in points:
        at = x(point.measured)
        parts.append(line(at, y(point.low90), at, y(point.high90), class_="before reach90"))
    parts += [element("circle", cx=x(each.measured), cy=y(each.predicted), r=4, class_="foreseen") for each in points]
    return document(WIDTH, HEIGHT, title, subtitle, *parts)
