"""From the history to `nightly.html`: the last night's verdicts and every series' trend; one file, no scripts."""

from collections.abc import Sequence
from pathlib import Path

from ofa_edge.files import write_bytes
from ofa_edge.records.night import NightRecord, SeriesRecord
from ofa_edge.report.page import environment
from ofa_edge.report.trends import percent_of, trend_chart, trends

TEMPLATE = "nightly.html.j2"
COLOURS = ("RED", "YELLOW", "INCONCLUSIVE", "GREEN")


def render_nightly(nights: Sequence[NightRecord], torn: int = 0, damaged: Sequence[int] = ()) -> str:
    """The page as HTML. Every text of the records is escaped.

    Args:
        nights: of the history, oldest first; at least one.
        torn: how many nights of the history a crash cut short.
        damaged: numbers of its other lines that cannot be read.
    """
    found = trends(nights)
    last = nights[-1].series
    jinja = environment()
    jinja.filters["figures"] = figures
    return jinja.get_template(TEMPLATE).render(
        night=nights[-1],
        count=len(nights),
        torn=torn,
        damaged=damaged,
        trends=[(trend, trend_chart(trend)) for trend in found],
        colours=[(colour, sum(item.colour == colour for item in last)) for colour in COLOURS],
    )


def write_nightly(path: Path, nights: Sequence[NightRecord], torn: int = 0, damaged: Sequence[int] = ()) -> str:
    """Write the page atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, render_nightly(nights, torn, damaged).encode())


def figures(item: SeriesRecord) -> str:
    """What was measured, in words: "2.91 -> 3.02 ms (+3.8 %)"; empty where nothing was."""
    if item.golden is None or item.candidate is None:
        return ""
    percent = percent_of(item)
    share = "" if percent is None else f" ({percent:+.1f} %)"
    if item.unit == "share":
        return f"{100 * item.golden:.2f} -> {100 * item.candidate:.2f} %"
    if item.unit == "ms":
        return f"{item.golden:.4g} -> {item.candidate:.4g} ms{share}"
    return f"{item.golden:,.0f} -> {item.candidate:,.0f}{' B' if item.unit == 'bytes' else ''}{share}"
