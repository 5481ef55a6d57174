"""The subnet drawn block by block, as the paper draws its specialised networks.

A block's height is its width, the channels inside it; its colour is its kernel size. Behind each stands what the
supernet has to offer there, so a glance tells where the search spent and where it saved.
"""

import math

from markupsafe import Markup

from ofa_edge.cost import stage_input_size
from ofa_edge.records.manifest import Manifest
from ofa_edge.records.network import SubnetRecord
from ofa_edge.report.svg import drawing, element, label, line
from ofa_edge.space import BlockSpec, Space, output_size

WIDTH, HEIGHT = 920.0, 240.0
BASE, TALLEST = 160.0, 150.0  # the line that blocks stand on, and the height of the supernet's widest block
ENDS, GAP = 74.0, 16.0  # width of the stem and the head, and between stages
_ROOM_FOR_WORDS = 58.0  # height that a block's name needs when it stands upright
_ACTIVATIONS = {"relu": "ReLU", "relu6": "ReLU6", "h_swish": "h-swish"}


def subnet_drawing(manifest: Manifest) -> Markup:
    """The build's subnet, in its supernet; nothing where the network came as a file."""
    if manifest.supernet is None or manifest.subnet is None:
        return Markup("")
    return draw_subnet(Space.from_json(manifest.supernet.space), manifest.subnet)


def draw_subnet(space: Space, subnet: SubnetRecord) -> Markup:
    """All blocks that the supernet has; those that this subnet skips are empty outlines."""
    widths = space.active_widths(subnet.widths)
    slot = (WIDTH - 2 * ENDS - (space.num_stages + 1) * GAP) / len(space.blocks)
    widest = max(_middle(space, spec, space.expands[-1]) for spec in space.blocks)
    parts = [line(0, BASE, WIDTH, BASE, class_="axis")]
    parts.append(_end(0.0, "stem", f"{subnet.resolution} px", f"{widths[0]} ch"))
    left = ENDS + GAP
    for index, blocks in enumerate(subnet.stages):
        start, length = space.first_blocks[index], space.stage_depths[index][-1]
        for position in range(length):
            spec = space.blocks[start + position]
            kept = blocks[position] if position < len(blocks) else None
            active = spec.within(widths, widths)
            parts += _Slot(space, widest, left + position * slot, slot - 4).block(spec, active, kept)
        parts += _stage(space, subnet, index, left, left + length * slot - 4)
        left += length * slot + GAP
    parts.append(_end(WIDTH - ENDS, "head", f"{widths[-1]} ch", f"{space.num_classes} classes"))
    return drawing(WIDTH, HEIGHT, f"The subnet's blocks, {sum(map(len, subnet.stages))} of them", *parts)


def _middle(space: Space, spec: BlockSpec, expand: float) -> int:
    """Channels inside a block of the supernet; its stem's plain convolution has as many as it puts out."""
    return spec.middle(expand if expand in space.expands else space.expands[0])


class _Slot:
    """Where one block of the supernet is drawn."""

    def __init__(self, space: Space, widest: int, x: float, width: float) -> None:
        self.space, self.widest, self.x, self.width = space, widest, x, width

    def block(self, spec: BlockSpec, active: BlockSpec, kept: tuple[int, float] | None) -> list[Markup]:
        """The outline of the widest choice, and the block that was kept in front of it."""
        offered = self._height(_middle(self.space, spec, self.space.expands[-1]))
        outline = self._box(offered, "skipped" if kept is None else "offered")
        if kept is None:
            return [outline]
        kernel, expand = kept
        channels = active.middle(expand)
        height = min(self._height(channels), TALLEST)
        middle = self.x + self.width / 2
        parts = [outline, self._box(height, f"block k{kernel}")]
        parts += self._words(kernel, self._name(spec, expand), middle, height)
        parts.append(label(middle, BASE + 15, str(channels), class_="channels", text_anchor="middle"))
        return parts

    def _height(self, channels: int) -> float:
        # Areas compare by eye, and widths grow fivefold from the first stage to the last: hence the root.
        return TALLEST * math.sqrt(channels / self.widest)

    def _box(self, height: float, style: str) -> Markup:
        return element("rect", x=self.x, y=BASE - height, width=self.width, height=height, rx=3, class_=style)

    def _name(self, spec: BlockSpec, expand: float) -> str:
        if spec.kind == "conv":
            return "conv"
        return f"MB{expand:g}" if spec.kind == "mbconv" else f"B{expand:g}".replace("0.", ".")

    def _words(self, kernel: int, name: str, middle: float, height: float) -> list[Markup]:
        size = f"{kernel}x{kernel}"
        if height < _ROOM_FOR_WORDS:
            return [label(middle, BASE - height / 2 + 4, size, class_="kernel", text_anchor="middle")]
        turn = f"translate({middle + 4:.2f} {BASE - 7:.2f}) rotate(-90)"
        return [element("text", f"{name}  {size}", transform=turn, class_="kernel")]


def _stage(space: Space, subnet: SubnetRecord, index: int, left: float, right: float) -> list[Markup]:
    """A brace below a stage: its name, the channels that it puts out, its sizes, and what its blocks have inside."""
    spec = space.blocks[space.first_blocks[index]]
    before = stage_input_size(space, subnet.resolution, index)
    after = output_size(before, spec.stride)
    channels = space.active_widths(subnet.widths)[spec.out_slot]
    behind_stem = sum(not space.shape.inside(stage) for stage in range(index + 1))
    name = "in stem" if space.shape.inside(index) else f"stage {behind_stem}"
    size = f"{after} px" if before == after else f"{before} to {after} px"
    extra = [*(["SE"] if spec.squeeze else []), _ACTIVATIONS[spec.activation]]
    middle, top = (left + right) / 2, BASE + 24
    brace = f"{left:.2f},{top:.2f} {left:.2f},{top + 5:.2f} {right:.2f},{top + 5:.2f} {right:.2f},{top:.2f}"
    return [
        element("polyline", points=brace, class_="brace"),
        label(middle, top + 21, name, class_="name", text_anchor="middle"),
        label(middle, top + 37, f"{channels} ch, {size}", class_="tick", text_anchor="middle"),
        label(middle, top + 52, ", ".join(extra), class_="tick", text_anchor="middle"),
    ]


def _end(x: float, name: str, above: str, below: str) -> Markup:
    height = TALLEST * 0.36
    middle = x + ENDS / 2
    return element(
        "g",
        element("rect", x=x, y=BASE - height, width=ENDS, height=height, rx=3, class_="end"),
        label(middle, BASE - height / 2 + 4, name, class_="end-name", text_anchor="middle"),
        label(middle, BASE + 45, above, class_="tick", text_anchor="middle"),
        label(middle, BASE + 61, below, class_="tick", text_anchor="middle"),
    )
