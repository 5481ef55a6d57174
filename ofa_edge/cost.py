"""What a subnet costs: its operators with shapes, its MACs and parameters, and block sums for many subnets at once.

Counting follows the reference: convolutions, squeeze-and-excite and the classifier; no batch norm, no activations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import BlockSpec, Genomes, Space, Subnet, middle_width, output_size, squeeze_width

OperatorKind = Literal["conv", "pointwise", "depthwise", "dense", "pool", "scale", "add", "h_swish"]


@dataclass(frozen=True)
class Operator:
    """One operator as a runtime sees it after BN folding, batch 1. Activations other than hard-swish are fused."""

    kind: OperatorKind
    in_channels: int
    out_channels: int
    in_size: int  # spatial height = width of the input
    out_size: int
    kernel: int = 1
    stride: int = 1
    normalised: bool = False  # a batch norm follows (two parameters a channel before folding)
    biased: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        if self.kind in ("conv", "pointwise", "dense"):
            return self.kernel**2 * self.in_channels * self.out_channels * self.out_size**2
        return self.kernel**2 * self.out_channels * self.out_size**2 if self.kind == "depthwise" else 0

    @property
    def weights(self) -> int:
        """Weights, biases not counted."""
        if self.kind in ("conv", "pointwise", "dense"):
            return self.kernel**2 * self.in_channels * self.out_channels
        return self.kernel**2 * self.out_channels if self.kind == "depthwise" else 0

    @property
    def params(self) -> int:
        """Trainable parameters before BN folding."""
        return self.weights + self.out_channels * (2 * self.normalised + self.biased)

    @property
    def in_elements(self) -> int:
        """Input values read (both inputs of an addition)."""
        return self.in_channels * self.in_size**2 * (2 if self.kind == "add" else 1)

    @property
    def out_elements(self) -> int:
        """Output values written."""
        return self.out_channels * self.out_size**2


def stem_operators(space: Space, resolution: int) -> tuple[Operator, ...]:
    """The first convolution and the static block behind it."""
    stem, static = space.widths[:2]
    size = output_size(resolution, space.strides[0])
    operators = [
        Operator("conv", space.in_channels, stem, resolution, size, 3, space.strides[0], normalised=True),
        Operator("h_swish", stem, stem, size, size),
        Operator("depthwise", stem, stem, size, size, 3, normalised=True),
        Operator("pointwise", stem, static, size, size, normalised=True),
    ]
    return (*operators, Operator("add", static, static, size, size)) if stem == static else tuple(operators)


def block_operators(spec: BlockSpec, kernel: int, expand: int, in_size: int) -> tuple[Operator, ...]:
    """One elastic block on a map of `in_size`."""
    middle = middle_width(spec.in_channels, expand)
    size = output_size(in_size, spec.stride)
    swish = spec.activation == "h_swish"
    operators = [Operator("pointwise", spec.in_channels, middle, in_size, in_size, normalised=True)]
    if swish:
        operators.append(Operator("h_swish", middle, middle, in_size, in_size))
    operators.append(Operator("depthwise", middle, middle, in_size, size, kernel, spec.stride, normalised=True))
    if swish:
        operators.append(Operator("h_swish", middle, middle, size, size))
    if spec.squeeze:
        squeezed = squeeze_width(middle)
        operators += [
            Operator("pool", middle, middle, size, 1),
            Operator("dense", middle, squeezed, 1, 1, biased=True),
            Operator("dense", squeezed, middle, 1, 1, biased=True),
            Operator("scale", middle, middle, size, size),
        ]
    operators.append(Operator("pointwise", middle, spec.out_channels, size, size, normalised=True))
    if spec.shortcut:
        operators.append(Operator("add", spec.out_channels, spec.out_channels, size, size))
    return tuple(operators)


def head_operators(space: Space, resolution: int) -> tuple[Operator, ...]:
    """Final expand, pooling, feature mix and classifier."""
    last, final, feature = space.widths[-3:]
    size = stage_input_size(space, resolution, space.num_stages)
    return (
        Operator("pointwise", last, final, size, size, normalised=True),
        Operator("h_swish", final, final, size, size),
        Operator("pool", final, final, size, 1),
        Operator("dense", final, feature, 1, 1),
        Operator("h_swish", feature, feature, 1, 1),
        Operator("dense", feature, space.num_classes, 1, 1, biased=True),
    )


def stage_input_size(space: Space, resolution: int, stage: int) -> int:
    """Spatial size at the input of `stage` (of the head, for the number after the last stage)."""
    size = resolution
    for stride in space.strides[: stage + 1]:
        size = output_size(size, stride)
    return size


def block_input_size(space: Space, spec: BlockSpec, resolution: int) -> int:
    """Spatial size at the input of one block."""
    return stage_input_size(space, resolution, spec.stage + (spec.position > 0))


def operators(space: Space, subnet: Subnet) -> tuple[Operator, ...]:
    """All operators of a subnet, in order."""
    result = list(stem_operators(space, subnet.resolution))
    for stage, pairs in enumerate(subnet.stages):
        for position, (kernel, expand) in enumerate(pairs):
            spec = space.blocks[stage * space.max_depth + position]
            result += block_operators(spec, kernel, expand, block_input_size(space, spec, subnet.resolution))
    return (*result, *head_operators(space, subnet.resolution))


def macs(space: Space, subnet: Subnet) -> int:
    """Multiply-accumulates of one inference."""
    return sum(operator.macs for operator in operators(space, subnet))


def params(space: Space, subnet: Subnet) -> int:
    """Trainable parameters of the extracted static network."""
    return sum(operator.params for operator in operators(space, subnet))


Measure = Callable[[tuple[Operator, ...]], NDArray[np.float64]]


class BlockTable:
    """An additive quantity of a space, tabulated by block, so that summing it over 10,000 subnets takes milliseconds.

    Args:
        space: the search space.
        measure: maps a block's operators to a vector of F values; called once for each table entry.
    """

    def __init__(self, space: Space, measure: Measure) -> None:
        self.space = space
        fixed = [measure((*stem_operators(space, r), *head_operators(space, r))) for r in space.resolutions]
        self.fixed = np.array(fixed, dtype=np.float64)  # [resolutions, F]
        shape = (len(space.resolutions), len(space.blocks), len(space.kernels), len(space.expands), self.fixed.shape[1])
        self.entries = np.empty(shape)
        for i, resolution in enumerate(space.resolutions):
            for spec in space.blocks:
                size = block_input_size(space, spec, resolution)
                for k, kernel in enumerate(space.kernels):
                    for e, expand in enumerate(space.expands):
                        self.entries[i, spec.index, k, e] = measure(block_operators(spec, kernel, expand, size))

    def __call__(self, genomes: Genomes) -> NDArray[np.float64]:
        """Sum over each genome's active blocks and its stem and head: [N, F]."""
        blocks = len(self.space.blocks)
        resolution = genomes[:, -1].astype(np.intp)
        index = np.arange(blocks)
        values = self.entries[resolution[:, None], index, genomes[:, :blocks], genomes[:, blocks : 2 * blocks]]
        return np.asarray(self.fixed[resolution] + np.einsum("nbf,nb->nf", values, self.space.active(genomes)))


def macs_table(space: Space) -> BlockTable:
    """MACs of many genomes at once: [N, 1]."""
    return BlockTable(space, lambda ops: np.array([float(sum(operator.macs for operator in ops))]))
