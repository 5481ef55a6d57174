"""The difference of two builds in words, and as one page like the report."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ofa_edge.files import write_bytes
from ofa_edge.report.difference import Difference, Figure, Value
from ofa_edge.report.page import environment, size_text

TEMPLATE = "diff.html.j2"


class Shown(NamedTuple):
    """A figure in words."""

    name: str
    label: str
    before: str
    after: str
    change: str


def render_diff(found: Difference) -> str:
    """The page as HTML. Every text of the builds is escaped."""
    counts = Counter(item.kind for item in found.operators)
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            found=found,
            figures=[shown(item) for item in found.figures],
            counts={kind: counts[kind] for kind in ("same", "changed", "added", "removed")},
            moved=[item for item in found.operators if item.kind != "same"],
        )
    )


def write_diff(path: Path, found: Difference) -> str:
    """Write the page atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, render_diff(found).encode())


def shown(item: Figure) -> Shown:
    """A figure's values with their intervals, and how far it moved."""
    before, after = ("-" if each is None else _value(item.unit, each) for each in (item.before, item.after))
    return Shown(item.name, item.label, before, after, _change(item))


def _value(unit: str, found: Value) -> str:
    value, interval = found.value, found.interval
    if unit == "bytes":
        return size_text(int(value))
    words = f"{100 * value:.2f} %" if unit == "share" else f"{value:.3g} ms" if unit == "ms" else f"{value:,.0f}"
    if interval is None:
        return words
    scale, digits = (100, ".2f") if unit == "share" else (1, ".3g")
    return f"{words} ({scale * interval[0]:{digits}} .. {scale * interval[1]:{digits}})"


def _change(item: Figure) -> str:
    """How far it moved; whether that may be chance, where an interval says so."""
    before, after = item.before, item.after
    if before is None or after is None:
        return "in one build only"
    if before.value == after.value:
        return "same"
    if item.unit == "share":
        words = f"{100 * (after.value - before.value):+.2f} points"
        if item.change is None:
            return words
        low, high = item.change
        certain = "" if low > 0 or high < 0 else "; may be chance"
        return f"{words} ({100 * low:+.2f} .. {100 * high:+.2f}{certain})"
    words = f"{100 * (after.value / before.value - 1):+.1f} %" if before.value else "from nothing"
    one, other = before.interval, after.interval
    apart = one is None or other is None or one[1] < other[0] or other[1] < one[0]
    return words if apart else f"{words}; intervals overlap"
