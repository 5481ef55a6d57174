"""The subnet drawn stage by stage: a block's height is its expand ratio, its colour its kernel size."""

from markupsafe import Markup

from ofa_edge.cost import stage_input_size
from ofa_edge.manifest import Manifest
from ofa_edge.report.svg import drawing, element, label
from ofa_edge.space import Space

WIDTH = 920.0
BASE, TALLEST = 128.0, 84.0  # the line that blocks stand on, and the height of the largest expand ratio
ENDS, GAP = 86.0, 14.0  # width of the stem and the head, and between stages


def subnet_drawing(manifest: Manifest) -> Markup:
    """All blocks that the supernet has; those that this subnet skips are empty outlines."""
    space, subnet = Space.from_json(manifest.supernet.space), manifest.subnet
    widths = space.active_widths(subnet.widths)
    slot = (WIDTH - 2 * ENDS - (space.num_stages + 1) * GAP) / len(space.blocks)
    parts = [_end(0.0, "stem", f"{subnet.resolution} px", f"{widths[0]} ch")]
    left = ENDS + GAP
    for index, blocks in enumerate(subnet.stages):
        first, length = space.blocks[space.first_blocks[index]], space.stage_depths[index][-1]
        inside = first.kind == "conv"  # of the stem: pooling comes behind it
        size = stage_input_size(space, subnet.resolution, index + (not inside))
        middle = left + length * slot / 2
        name = "in stem" if inside else f"stage {index + (not space.width_ratios)}"
        parts.append(label(middle, 14, name, class_="name", text_anchor="middle"))
        channels = widths[first.out_slot if space.width_ratios else 2 + index]
        facts = f"{channels} ch, {size} px"
        parts.append(label(middle, BASE + 40, facts, class_="tick", text_anchor="middle"))
        for position in range(length):
            x = left + position * slot
            kept = blocks[position] if position < len(blocks) else None
            parts += _block(space, kept, x, slot)
        left += length * slot + GAP
    parts.append(_end(WIDTH - ENDS, "head", f"{widths[-1]} ch", f"{space.num_classes} classes"))
    return drawing(WIDTH, BASE + 48, f"The subnet's blocks, {sum(map(len, subnet.stages))} of them", *parts)


def _block(space: Space, kept: tuple[int, float] | None, x: float, slot: float) -> list[Markup]:
    width, middle = slot - 5, x + (slot - 5) / 2
    if kept is None:
        height = TALLEST * space.expands[0] / space.expands[-1]
        return [element("rect", x=x, y=BASE - height, width=width, height=height, rx=3, class_="skipped")]
    kernel, expand = kept
    elastic = expand in space.expands  # the stem's own convolution of ResNets is not
    height = TALLEST * (expand if elastic else space.expands[0]) / space.expands[-1]
    ratio = f"e{expand}" if isinstance(expand, int) or expand >= 1 else f"{expand:g}".lstrip("0")
    return [
        element("rect", x=x, y=BASE - height, width=width, height=height, rx=3, class_=f"block k{kernel}"),
        label(middle, BASE - height / 2 + 4, f"k{kernel}", class_="kernel", text_anchor="middle"),
        label(middle, BASE + 16, ratio if elastic else "", class_="tick", text_anchor="middle"),
    ]


def _end(x: float, name: str, above: str, below: str) -> Markup:
    top, height = BASE - TALLEST * 0.6, TALLEST * 0.6
    return element(
        "g",
        element("rect", x=x, y=top, width=ENDS, height=height, rx=3, class_="end"),
        label(x + ENDS / 2, top + height / 2 + 4, name, class_="end-name", text_anchor="middle"),
        label(x + ENDS / 2, BASE + 16, above, class_="tick", text_anchor="middle"),
        label(x + ENDS / 2, BASE + 40, below, class_="tick", text_anchor="middle"),
    )
