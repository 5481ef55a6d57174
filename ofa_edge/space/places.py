"""A subnet as the layers and blocks that run, with the names of their modules."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ofa_edge.space.blocks import ActiveBlock
from ofa_edge.space.layers import Layer, LayerSpec
from ofa_edge.space.space import Space
from ofa_edge.space.subnet import Subnet

Role = Literal["stem", "block", "head"]
Part = LayerSpec | ActiveBlock


@dataclass(frozen=True)
class Place:
    """One layer or block of a subnet.

    Attributes:
        source: its module in the supernet.
        target: its module in the extracted network, whose lists are numbered without gaps.
        role: whether it stands in front of the last stage, is a block, or stands behind.
        part: what it is, at the subnet's widths.
    """

    source: str
    target: str
    role: Role
    part: Part


def layout(space: Space, subnet: Subnet) -> Iterator[Place]:
    """Layers and blocks in the order in which they run. `space.largest()` has all of a supernet, under equal names."""
    shape, widths = space.shape, space.active_widths(subnet.widths)
    blocks, depths = iter(space.active_blocks(subnet)), iter(zip(subnet.depths, space.stage_depths, strict=True))
    sources: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    for place, part in enumerate(shape.parts):
        made: Iterable[Part]
        if isinstance(part, Layer):
            role: Role = "head" if place in shape.head_places else "stem"
            made, kept, most = (space.layer(place, widths),), 1, 1
        else:
            role, (kept, (*_, most)) = "block", next(depths)
            made = itertools.islice(blocks, kept)
        child, source, target = part.child, sources[part.child], targets[part.child]
        for position, each in enumerate(made):
            if child in shape.lists:
                yield Place(f"{child}.{source + position}", f"{child}.{target + position}", role, each)
            else:
                yield Place(child, child, role, each)
        sources[child] += most
        targets[child] += kept
