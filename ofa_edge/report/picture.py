"""A search as one picture, a file of its own: the front above, the chosen subnet below, colours and key inside."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from ofa_edge.errors import ConfigError
from ofa_edge.extras import require
from ofa_edge.files import write_bytes
from ofa_edge.records.network import SubnetRecord
from ofa_edge.records.search import SearchRecord
from ofa_edge.report import front, subnet
from ofa_edge.report.svg import Attribute, element, label, line
from ofa_edge.shown import pasteable
from ofa_edge.space import Space

MARGIN, HEAD, KEY = 24.0, 62.0, 40.0
PALETTE = {
    "card": "#fff",
    "ink": "#16202e",
    "soft": "#5b6877",
    "line": "#e2e6eb",
    "accent": "#1f5fd6",
    "wash": "#eaf1fd",
    "pass": "#177245",
    "fail": "#b3261e",
    "open": "#8a5300",
    "k3": "#a9c7f5",
    "k5": "#3f78d0",
    "k7": "#1d4da6",
    "on-k3": "#16202e",
    "on-k5": "#fff",
    "on-k7": "#fff",
}
PNG_WIDTH = 1936  # twice the drawing's


@dataclass(frozen=True)
class Picture:
    """What a picture shows.

    Attributes:
        title: above it.
        subtitle: below the title, smaller.
        search: the front and what belongs to it.
        space: the space searched.
        chosen: the subnet that is drawn.
        low90, high90: the interval of its latency.
    """

    title: str
    subtitle: str
    search: SearchRecord = field(repr=False)  # a notebook keeps the text beside the drawing
    space: Space = field(repr=False)
    chosen: SubnetRecord = field(repr=False)
    low90: float
    high90: float

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return str(draw(self))


def draw(picture: Picture) -> Markup:
    """The picture as one SVG document that needs nothing else."""
    chart = front.front_chart(picture.search, front.Chosen(picture.chosen.id, picture.low90, picture.high90))
    width = front.WIDTH + 2 * MARGIN
    blocks_top = HEAD + front.HEIGHT + KEY + 20
    height = blocks_top + subnet.HEIGHT + KEY
    parts = [
        _at(MARGIN, HEAD, chart),
        _at(MARGIN, HEAD + front.HEIGHT + 12, _key(_front_key(picture.search))),
        _at(MARGIN, blocks_top, subnet.draw_subnet(picture.space, picture.chosen)),
        _at(MARGIN, blocks_top + subnet.HEIGHT + 10, _key(_block_key(picture.space))),
    ]
    return document(width, height, picture.title, picture.subtitle, *parts)


def document(width: float, height: float, title: str, subtitle: str, *parts: Markup) -> Markup:
    """A drawing as a file of its own, with its style and a title above; the first `HEAD` units are the title's."""
    box: dict[str, Attribute] = {"viewBox": f"0 0 {width:g} {height:g}", "width": width, "height": height}
    frame = [
        _style(),
        element("rect", width=width, height=height, fill=PALETTE["card"]),
        label(MARGIN, 28, title, class_="title"),
        label(MARGIN, 48, subtitle, class_="subtitle"),
    ]
    return element("svg", *frame, *parts, xmlns="http://www.w3.org/2000/svg", class_="chart", **box)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as .svg, or as .png where resvg is installed.

    Raises:
        ConfigError: another kind of file.
        ToolMissingError: a .png, and nothing here draws one.
    """
    kind = require_picture(path)
    text = str(draw(picture))
    if kind == ".svg":
        write_bytes(path, text.encode())
        return
    import resvg_py

    write_bytes(path, bytes(resvg_py.svg_to_bytes(svg_string=text, width=PNG_WIDTH)))


def require_picture(path: Path) -> str:
    """The kind of picture that a path asks for, ".svg" or ".png". Raises as `write_picture` does, before any work."""
    kind = path.suffix.lower()
    if kind not in (".svg", ".png"):
        raise ConfigError(
            f"cannot draw {path.name}", "pictures are .svg or .png", pasteable("--plot", f"{path.stem}.svg")
        )
    if kind == ".png":
        require("plot", path.name, pasteable("--plot", f"{path.stem}.svg"))
    return kind


def _style() -> Markup:
    """The charts' style sheet in the colours of a light page: not every reader of SVG knows variables."""
    sheet = (Path(__file__).parent / "chart.css").read_text(encoding="utf-8")
    sheet = re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: PALETTE[found[1]], sheet)
    sheet += ".title { font-size: 18px; font-weight: 600; }\n.subtitle { font-size: 13px; }\n"
    return element("style", sheet)  # it has nothing that escaping would change


def _at(x: float, y: float, *children: Markup) -> Markup:
    return element("g", *children, transform=f"translate({x:g} {y:g})")


def _key(items: Sequence[tuple[Markup, str]]) -> Markup:
    """Marks and what they mean, side by side."""
    parts, x = [], 0.0
    for mark, words in items:
        parts.append(_at(x, 0, mark))
        parts.append(label(x + 32, 10, words, class_="tick"))
        x += 32 + 6.35 * len(words) + 22
    return element("g", *parts)


def _front_key(search: SearchRecord) -> list[tuple[Markup, str]]:
    dots = [element("circle", cx=x, cy=y, r=1.7, class_="cloud") for x, y in ((5, 4), (13, 8), (20, 5))]
    curve = element("polyline", points="1,10 25,2", class_="front")
    chosen = [line(1, 6, 25, 6, class_="interval"), element("circle", cx=13, cy=6, r=5, class_="chosen")]
    items = [
        (element("g", curve, element("circle", cx=13, cy=6, r=2.6, class_="front-point")), "Pareto front"),
        (element("rect", width=26, height=12, class_="band"), "its latency, 90 %"),
        (element("g", *dots), "subnets evaluated"),
        (element("polygon", points="13,0 19,6 13,12 7,6", class_="reference"), "named subnets"),
        (element("g", *chosen), "best within the budget, 90 %"),
    ]
    if any(item.measured_top1 is not None for item in search.candidates):
        items.append((element("circle", cx=13, cy=6, r=4, class_="measured"), "measured"))
    return items if search.cloud else [item for item in items if item[1] != "subnets evaluated"]


def _block_key(space: Space) -> list[tuple[Markup, str]]:
    def box(style: str) -> Markup:
        return element("rect", width=26, height=12, rx=3, class_=style)

    kernels = [(box(f"k{kernel}"), f"kernel {kernel}x{kernel}") for kernel in space.kernels]
    return [
        *kernels,
        (box("offered"), "on offer in the supernet"),
        (box("skipped"), "skipped"),
        (element("g"), "height: channels inside the block"),
    ]
