"""One elastic block: what is fixed about it, and what a subnet chose."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ofa_edge.space.widths import middle_width

Activation = Literal["relu", "relu6", "h_swish"]
BlockKind = Literal["mbconv", "bottleneck", "conv"]


@dataclass(frozen=True)
class BlockSpec:
    """What is fixed about one elastic block: everything but its kernel size and its expand ratio.

    Widths are those at hand: the largest for a block of the supernet, the active ones for a block of a subnet.

    Attributes:
        index: 0-based over all elastic blocks of the supernet.
        stage, position: where it stands; position 0 opens its stage.
        kind: an inverted bottleneck (`mbconv`), a bottleneck of ResNet-D, or one residual convolution (ResNet's stem).
        in_slot, out_slot: which of the space's widths its ends have.
    """

    index: int
    stage: int
    position: int
    in_channels: int
    out_channels: int
    stride: int
    activation: Activation
    squeeze: bool = False
    kind: BlockKind = "mbconv"
    bn_eps: float = 1e-5
    in_slot: int = 0
    out_slot: int = 0

    @property
    def shortcut(self) -> bool:
        """Whether the input itself is added to the output; a bottleneck that opens its stage adds a projection."""
        if self.kind == "bottleneck":
            return self.position > 0
        return self.kind == "conv" or (self.stride == 1 and self.in_channels == self.out_channels)

    def middle(self, expand: float) -> int:
        """Channels inside the block at an expand ratio; a plain convolution has none of its own."""
        if self.kind == "conv":
            return self.out_channels
        return middle_width(self.in_channels if self.kind == "mbconv" else self.out_channels, expand)

    def narrowed(self, in_channels: int, out_channels: int) -> "BlockSpec":
        """The same block between other widths."""
        if (in_channels, out_channels) == (self.in_channels, self.out_channels):
            return self
        return dataclasses.replace(self, in_channels=in_channels, out_channels=out_channels)

    def within(self, before: Sequence[int], after: Sequence[int]) -> "BlockSpec":
        """The same block, its input's width out of `before` and its output's out of `after` (`Space.active_widths`)."""
        return self.narrowed(before[self.in_slot], after[self.out_slot])


@dataclass(frozen=True)
class ActiveBlock:
    """One block that a subnet keeps: its active widths are in `spec`."""

    spec: BlockSpec
    kernel: int
    expand: float
