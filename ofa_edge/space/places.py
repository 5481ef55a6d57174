"""A subnet as the layers and blocks that run, with the names of their modules."""

from collections import Counter
from collections.abc import Iterator
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
    blocks = space.active_blocks(subnet)
    stages = iter(range(space.num_stages))
    sources: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    for place, part in enumerate(shape.parts):
        made: tuple[Part, ...]
        if isinstance(part, Layer):
            role: Role = "head" if place in shape.head_places else "stem"
            made, most = (space.layer(place, widths),), 1
        else:
            role, stage = "block", next(stages)
            made, most = tuple(each for each in blocks if each.spec.stage == stage), space.stage_depths[stage][-1]
        for position, each in enumerate(made):
            numbers = (sources[part.child] + position, targets[part.child] + position)
            source, target = (shape.module(part.child, number) for number in numbers)
            yield Place(source, target, role, each)
        sources[part.child] += most
        targets[part.child] += len(made)
