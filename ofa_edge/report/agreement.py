"""Predicted against measured top-1: by the predictor, and by the corrected one before each measurement."""

from markupsafe import Markup

from ofa_edge.metrics import METRIC_NAMES
from ofa_edge.records.search import SearchRecord
from ofa_edge.report.svg import Axis, drawing, element, grid, line

WIDTH, HEIGHT = 560.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 18.0, 30.0, 46.0


def agreement_chart(search: SearchRecord | None) -> Markup:
    """Each measured candidate twice, a grey line from what the predictor said to what the corrected one said.

    On the diagonal a prediction is right. Nothing is drawn without a correction.
    """
    if search is None or search.correction is None:
        return Markup("")
    rows = [
        (100 * item.score, 100 * item.foreseen_top1, 100 * item.measured_top1)
        for item in search.candidates
        if item.foreseen_top1 is not None and item.measured_top1 is not None
    ]
    x = Axis.over([value for row in rows for value in row[:2]] + [row[2] for row in rows], LEFT, WIDTH - RIGHT)
    y = Axis(x.low, x.high, HEIGHT - BOTTOM, TOP)
    metric = METRIC_NAMES[search.metric]
    parts = grid(x, y, f"predicted {metric}, %", f"measured {metric}, %")
    parts.append(line(x(x.low), y(x.low), x(x.high), y(x.high), class_="diagonal"))
    for predicted, foreseen, measured in rows:
        parts.append(line(x(predicted), y(measured), x(foreseen), y(measured), class_="moved"))
        parts.append(element("circle", cx=x(predicted), cy=y(measured), r=4, class_="predicted"))
    parts += [element("circle", cx=x(row[1]), cy=y(row[2]), r=4, class_="foreseen") for row in rows]
    return drawing(WIDTH, HEIGHT, f"Predicted against measured {metric}", *parts)
