"""The one slice rule: which part of a supernet's weights a subnet uses.

Forward, extraction and the counts of the tests all go through here; nothing else in the project cuts weights. Widths
come from `ofa_edge.space`, where search and cost models share them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ofa_edge.space import ActiveBlock, BlockSpec, squeeze_width

FULL_KERNEL = 7


@dataclass(frozen=True)
class ConvSlice:
    """The active widths of one convolution or linear layer: its first channels on either side."""

    in_channels: int
    out_channels: int


@dataclass(frozen=True)
class BlockSlice:
    """The active sizes of one block in one subnet."""

    kernel: int
    middle: int
    squeezed: int  # 0 without squeeze-and-excite
    in_channels: int
    out_channels: int

    @classmethod
    def of(cls, spec: BlockSpec, kernel: int, expand: float) -> "BlockSlice":
        """The slice that a (kernel, expand) choice makes of a block between the widths of `spec`."""
        middle = spec.middle(expand)
        squeezed = squeeze_width(middle) if spec.squeeze else 0
        return cls(kernel, middle, squeezed, spec.in_channels, spec.out_channels)

    @property
    def entry(self) -> ConvSlice:
        """Of the convolution into the block."""
        return ConvSlice(self.in_channels, self.middle)

    @property
    def inner(self) -> ConvSlice:
        """Of a convolution inside the block."""
        return ConvSlice(self.middle, self.middle)

    @property
    def exit(self) -> ConvSlice:
        """Of the convolution out of the block."""
        return ConvSlice(self.middle, self.out_channels)

    @property
    def across(self) -> ConvSlice:
        """Of a projection beside the block."""
        return ConvSlice(self.in_channels, self.out_channels)


Cut = ConvSlice | BlockSlice


def slice_of(block: ActiveBlock) -> Cut:
    """The slice of a block that a subnet keeps."""
    spec = block.spec
    if spec.kind == "conv":
        return ConvSlice(spec.in_channels, spec.out_channels)
    return BlockSlice.of(spec, block.kernel, block.expand)


def sliced_kernel(weight: Tensor, matrices: Mapping[str, Tensor], channels: int, kernel: int) -> Tensor:
    """The depthwise kernel of the first `channels` channels at the active size.

    A smaller kernel is the centre of the next larger one, flattened row by row, times that step's transform matrix; a
    3x3 kernel goes through the 5x5 one (Once-For-All, section 3.3, "elastic kernel size").

    Args:
        weight: full kernels [C, 1, 7, 7].
        matrices: `7to5_matrix` [25, 25] and `5to3_matrix` [9, 9].
        channels: active channels, at most C.
        kernel: 7, 5 or 3.

    Returns:
        [channels, 1, kernel, kernel].
    """
    active = weight[:channels]
    for larger in range(weight.shape[-1], kernel, -2):
        smaller = larger - 2
        centre = active[:, :, 1:-1, 1:-1].reshape(channels, smaller * smaller)
        transformed = torch.nn.functional.linear(centre, matrices[f"{larger}to{smaller}_matrix"])
        active = transformed.view(channels, 1, smaller, smaller)
    return active


def sliced_norm(norm: nn.BatchNorm2d, channels: int) -> dict[str, Tensor]:
    """Scale, shift and statistics of the first channels, as views: `bn.*` [channels]."""
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"bn.{name}": getattr(norm, name)[:channels] for name in names}


def sliced_gate(fc: nn.ModuleDict, cut: BlockSlice) -> dict[str, Tensor]:
    """Weights of a squeeze-and-excite module, whose own middle follows the active width."""
    sizes = {"reduce": (cut.squeezed, cut.middle), "expand": (cut.middle, cut.squeezed)}
    result = {}
    for name, (rows, columns) in sizes.items():
        result[f"se.fc.{name}.weight"] = fc[name].get_parameter("weight")[:rows, :columns]
        result[f"se.fc.{name}.bias"] = fc[name].get_parameter("bias")[:rows]
    return result
