"""The one slice rule: which part of a supernet block's weights a subnet uses.

Forward, extraction and the counts of the tests all go through `slice_block`; nothing else in the project cuts weights.
Widths come from `ofa_edge.space`, where search and cost models share them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ofa_edge.space import BlockSpec, middle_width, squeeze_width

FULL_KERNEL = 7


@dataclass(frozen=True)
class BlockSlice:
    """The active sizes of one block in one subnet."""

    kernel: int
    middle: int
    squeezed: int  # 0 without squeeze-and-excite

    @classmethod
    def of(cls, spec: BlockSpec, kernel: int, expand: int) -> "BlockSlice":
        """The slice that a (kernel, expand) choice makes of a block."""
        middle = middle_width(spec.in_channels, expand)
        return cls(kernel, middle, squeeze_width(middle) if spec.squeeze else 0)


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


def slice_block(tensors: Mapping[str, Tensor], cut: BlockSlice) -> dict[str, Tensor]:
    """Cut a supernet block's tensors down to the active block's.

    Args:
        tensors: parameters and buffers of an elastic block under the published names (ofa.md section 2).
        cut: the active sizes.

    Returns:
        The tensors of the static block under its names, as differentiable views wherever no kernel transform is needed.
    """
    depth = "depth_conv.conv."
    middle, squeezed = cut.middle, cut.squeezed
    matrices = {key.removeprefix(depth): value for key, value in tensors.items() if key.endswith("_matrix")}
    result = {
        "inverted_bottleneck.conv.weight": tensors["inverted_bottleneck.conv.conv.weight"][:middle],
        "depth_conv.conv.weight": sliced_kernel(tensors[depth + "conv.weight"], matrices, middle, cut.kernel),
        "point_linear.conv.weight": tensors["point_linear.conv.conv.weight"][:, :middle],
    }
    for part, width in (("inverted_bottleneck", middle), ("depth_conv", middle), ("point_linear", None)):
        for name in ("weight", "bias", "running_mean", "running_var"):
            result[f"{part}.bn.{name}"] = tensors[f"{part}.bn.bn.{name}"][:width]
    if squeezed:
        gate = "depth_conv.se.fc."
        result[gate + "reduce.weight"] = tensors[gate + "reduce.weight"][:squeezed, :middle]
        result[gate + "reduce.bias"] = tensors[gate + "reduce.bias"][:squeezed]
        result[gate + "expand.weight"] = tensors[gate + "expand.weight"][:middle, :squeezed]
        result[gate + "expand.bias"] = tensors[gate + "expand.bias"][:middle]
    return result
