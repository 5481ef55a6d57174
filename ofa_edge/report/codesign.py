"""A co-design as one page like the report."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from ofa_edge.files import write_bytes
from ofa_edge.records.codesign import CodesignRecord, FinalistRecord, NetworkRecord
from ofa_edge.report.page import environment, size_text
from ofa_edge.report.roofline import Spot, roofline_chart

TEMPLATE = "codesign.html.j2"
SHOWN = 60  # of the front
NAMED = 10  # layers


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
        networks=roofline_chart(best.roof_gops, best.offchip_gbps, _spots(best, [*same, *found.published])),
        layers=_layers_chart(best),
        named=NAMED,
        best=best,
    )


def write_codesign(path: Path, found: CodesignRecord) -> str:
    """Write the page atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, render_codesign(found).encode())


def _spots(best: FinalistRecord, networks: Sequence[NetworkRecord]) -> list[Spot]:
    return [
        Spot(
            each.role.partition(",")[0],
            each.intensity,
            each.gops,
            "chosen" if each is best else "foreseen" if isinstance(each, FinalistRecord) else "reference",
        )
        for each in networks
    ]


def _layers_chart(best: FinalistRecord) -> Markup:
    """The best pair's layers; the dearest have numbers. Those that move nothing off the chip have no place in it."""
    hertz = best.cycles / (best.ms / 1e3)
    placed = [
        Spot(f"{each.op}: {100 * each.cycles / best.cycles:.1f} % of all", ops / each.offchip_bytes, ops * hertz / time)
        for each in sorted(best.layers, key=lambda layer: -layer.cycles)
        if each.offchip_bytes and (ops := 2 * each.macs) and (time := 1e9 * each.cycles)
    ]
    return roofline_chart(best.roof_gops, best.offchip_gbps, placed[:NAMED], placed[NAMED:])
