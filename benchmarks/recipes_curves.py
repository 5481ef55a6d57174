"""docs/results.svg: accuracy of the recipes against the cost of a run, from the results of benchmarks/recipes.py."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from ofa_edge.report.svg import Axis, element, label, levels, line

WIDTH, HEIGHT = 820.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 230.0, 40.0, 52.0
COLOURS = ("#1f5fd6", "#177245", "#8a5300", "#b3261e", "#5b6877")
NAME_ROOM = 15.0
STYLE = """text { font: 12.5px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #16202e; }
.tick { fill: #5b6877; } .grid { stroke: #e2e6eb; } .axis { stroke: #5b6877; }"""
Curve = Mapping[float, tuple[float, float]]  # T MACs: mean top-1 in percent, and its standard deviation over seeds


def curves(found: Mapping[str, Curve], title: str) -> str:
    """One line a recipe over a logarithmic axis of cost; bars are one standard deviation over seeds each way."""
    costs = sorted({cost for curve in found.values() for cost in curve})
    means = [mean + sign * sd for curve in found.values() for mean, sd in curve.values() for sign in (-1, 1)]
    x = Axis.over([math.log(cost) for cost in costs], LEFT, WIDTH - RIGHT)
    y = Axis.over(means, HEIGHT - BOTTOM, TOP)
    parts = [
        element("style", STYLE),
        element("rect", width=WIDTH, height=HEIGHT, fill="#fff"),
        label(LEFT - 40, TOP - 18, title),
        label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "T MACs of the run", class_="tick", text_anchor="middle"),
        *levels(x, y),
    ]
    for cost in _apart(costs):
        at = x(math.log(cost))
        parts.append(line(at, y.start, at, y.start + 5, class_="axis"))
        parts.append(label(at, y.start + 19, f"{cost:.3g}", class_="tick", text_anchor="middle"))
    heights = _spread([y(curve[max(curve)][0]) for curve in found.values()])
    for (name, curve), colour, height in zip(found.items(), COLOURS, heights, strict=False):
        parts += _line(x, y, curve, colour)
        end = x(math.log(max(curve)))
        parts.append(line(end + 8, y(curve[max(curve)][0]), WIDTH - RIGHT + 10, height, stroke=colour, opacity=0.4))
        parts.append(label(WIDTH - RIGHT + 14, height + 4, name, style=f"fill: {colour}"))
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    size = {"viewBox": box, "width": WIDTH, "height": HEIGHT, "xmlns": "http://www.w3.org/2000/svg"}
    return str(element("svg", element("title", title), *parts, role="img", **size)) + "\n"


def _line(x: Axis, y: Axis, curve: Curve, colour: str) -> list[Markup]:
    points = [(x(math.log(cost)), mean, sd) for cost, (mean, sd) in sorted(curve.items())]
    path = " ".join(f"{at:.1f},{y(mean):.1f}" for at, mean, _ in points)
    parts = [element("polyline", points=path, fill="none", stroke=colour, stroke_width=2)]
    for at, mean, sd in points:
        parts.append(element("circle", cx=at, cy=y(mean), r=3.5, fill=colour))
        parts.append(line(at, y(mean - sd), at, y(mean + sd), stroke=colour, stroke_width=1.5))
    return parts


def _apart(costs: list[float]) -> list[float]:
    """Costs of one scale differ by a few per mille: one tick is enough for them."""
    kept: list[float] = []
    for cost in costs:
        if not kept or cost > 1.5 * kept[-1]:
            kept.append(cost)
    return kept


def _spread(heights: list[float]) -> list[float]:
    """Heights of the names beside the lines' ends, moved down until none covers another."""
    moved = list(heights)
    below = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        moved[place] = below = max(heights[place], below + NAME_ROOM)
    return moved
