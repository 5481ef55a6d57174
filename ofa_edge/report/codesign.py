"""A co-design as one page like the report."""

from pathlib import Path

from ofa_edge.files import write_bytes
from ofa_edge.records.codesign import CodesignRecord, FinalistRecord
from ofa_edge.report.page import environment, size_text
from ofa_edge.report.roofline import Spot, roofline_chart

TEMPLATE = "codesign.html.j2"
SHOWN = 60  # of the front


def render_codesign(found: CodesignRecord) -> str:
    """The page as HTML, every text escaped."""
    jinja = environment()
    jinja.filters["size"] = size_text
    best = found.finalists[0]
    same = [each for each in found.finalists if each.pair.accelerator == best.pair.accelerator]
    return jinja.get_template(TEMPLATE).render(
        found=found,
        front=found.front[:: max(1, -(-len(found.front) // SHOWN))],
        gains=[(each, best.gops / each.gops - 1, best.intensity / each.intensity - 1) for each in found.finalists[1:]],
        networks=roofline_chart(best.roof_gops, best.offchip_gbps, [_spot(each) for each in same]),
        best=best,
    )


def write_codesign(path: Path, found: CodesignRecord) -> str:
    """Write the page atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, render_codesign(found).encode())


def _spot(each: FinalistRecord) -> Spot:
    return Spot(each.role.partition(",")[0], each.intensity, each.gops)
