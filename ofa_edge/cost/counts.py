"""What a subnet costs: its operators with shapes, its MACs and parameters, and block sums for many subnets at once.

Counting follows the reference: convolutions, squeeze-and-excite and the classifier; no batch norm, no activations.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import BlockSpec, Genomes, Space, Subnet, output_size, squeeze_width

OperatorKind = Literal["conv", "pointwise", "depthwise", "dense", "pool", "scale", "add", "h_swish", "move"]


@dataclass(frozen=True)
class Operator:
    """One operator as a runtime sees it after BN folding, batch 1. Activations other than hard-swish are fused.

    Kernels and maps are square where no width is given. `move` copies values and computes nothing.
    """

    kind: OperatorKind
    in_channels: int
    out_channels: int
    in_size: int  # spatial height of the input
    out_size: int
    kernel: int = 1
    stride: int = 1
    normalised: bool = False  # a batch norm follows (two parameters a channel before folding)
    biased: bool = False
    in_width: int | None = None  # of a map that is not square, as of the next two
    out_width: int | None = None
    kernel_width: int | None = None
    groups: int = 1  # of `conv`; a depthwise convolution is a kind of its own

    @property
    def taps(self) -> int:
        """Values under the kernel, one channel."""
        return self.kernel * (self.kernel if self.kernel_width is None else self.kernel_width)

    @property
    def positions(self) -> int:
        """Values of the output, one channel."""
        return self.out_size * (self.out_size if self.out_width is None else self.out_width)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.weights * self.positions

    @property
    def weights(self) -> int:
        """Weights, biases not counted."""
        if self.kind in ("conv", "pointwise", "dense"):
            return self.taps * self.in_channels * self.out_channels // self.groups
        return self.taps * self.out_channels if self.kind == "depthwise" else 0

    @property
    def params(self) -> int:
        """Trainable parameters before BN folding."""
        return self.weights + self.out_channels * (2 * self.normalised + self.biased)

    @property
    def in_elements(self) -> int:
        """Input values read (both inputs of an addition)."""
        width = self.in_size if self.in_width is None else self.in_width
        return self.in_channels * self.in_size * width * (2 if self.kind == "add" else 1)

    @property
    def out_elements(self) -> int:
        """Output values written."""
        return self.out_channels * self.positions


def stem_operators(space: Space, resolution: int, widths: tuple[int, ...] | None = None) -> tuple[Operator, ...]:
    """What stands in front of the stages, at `widths` (see `Space.active_widths`; the largest by default).

    MBConv families: the first convolution and the static block. ResNet: the two convolutions that are always there, and
    max pooling.
    """
    first, second = (widths or space.widths)[:2]
    stride, shape = space.strides[0], space.shape
    size = output_size(resolution, stride)
    operators = [Operator("conv", space.in_channels, first, resolution, size, 3, stride, normalised=True)]
    if shape.stem_activation == "h_swish":
        operators.append(Operator("h_swish", first, first, size, size))
    if shape.width_ratios:
        return (
            *operators,
            Operator("conv", first, second, size, size, 3, normalised=True),
            Operator("pool", second, second, size, output_size(size, space.strides[1]), 3, space.strides[1]),
        )
    operators += [
        Operator("depthwise", first, first, size, size, 3, normalised=True),
        Operator("pointwise", first, second, size, size, normalised=True),
    ]
    if shape.static_shortcut and first == second:
        operators.append(Operator("add", second, second, size, size))
    return tuple(operators)


def block_operators(spec: BlockSpec, kernel: int, expand: float, in_size: int) -> tuple[Operator, ...]:
    """One elastic block between the widths of `spec`, on a map of `in_size`."""
    middle = spec.middle(expand)
    size = output_size(in_size, spec.stride)
    add = Operator("add", spec.out_channels, spec.out_channels, size, size)
    if spec.kind == "conv":
        return (Operator("conv", spec.in_channels, middle, in_size, size, kernel, normalised=True), add)
    if spec.kind == "bottleneck":
        return (*_bottleneck_operators(spec, kernel, middle, in_size, size), add)
    operators = [*_mbconv_operators(spec, kernel, middle, in_size, size)]
    return (*operators, add) if spec.shortcut else tuple(operators)


def _mbconv_operators(spec: BlockSpec, kernel: int, middle: int, in_size: int, size: int) -> list[Operator]:
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
    return operators


def _bottleneck_operators(spec: BlockSpec, kernel: int, middle: int, in_size: int, size: int) -> list[Operator]:
    """ResNet-D's bottleneck; the one that opens a stage pools its input and projects it."""
    operators = [
        Operator("pointwise", spec.in_channels, middle, in_size, in_size, normalised=True),
        Operator("conv", middle, middle, in_size, size, kernel, spec.stride, normalised=True),
        Operator("pointwise", middle, spec.out_channels, size, size, normalised=True),
    ]
    if not spec.shortcut:
        if spec.stride > 1:
            pool = Operator("pool", spec.in_channels, spec.in_channels, in_size, size, spec.stride, spec.stride)
            operators.append(pool)
        operators.append(Operator("pointwise", spec.in_channels, spec.out_channels, size, size, normalised=True))
    return operators


def head_operators(space: Space, resolution: int, widths: tuple[int, ...] | None = None) -> tuple[Operator, ...]:
    """What stands behind the stages, at `widths`: pooling and classifier, and the layers between of MBConv families."""
    widths, head = widths or space.widths, len(space.shape.head)
    size = stage_input_size(space, resolution, space.num_stages)
    before, operators = widths[-1 - head], []
    swish = space.shape.head_activation == "h_swish"
    if head:
        operators.append(Operator("pointwise", before, widths[-head], size, size, normalised=True))
        if swish:
            operators.append(Operator("h_swish", widths[-head], widths[-head], size, size))
    operators.append(Operator("pool", widths[-max(1, head)], widths[-max(1, head)], size, 1))
    if head == 2:
        operators.append(Operator("dense", widths[-2], widths[-1], 1, 1))
        if swish:
            operators.append(Operator("h_swish", widths[-1], widths[-1], 1, 1))
    return (*operators, Operator("dense", widths[-1], space.num_classes, 1, 1, biased=True))


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
    """All operators of a subnet: stem, blocks in order, head."""
    widths, resolution = space.active_widths(subnet.widths), subnet.resolution
    result = list(stem_operators(space, resolution, widths))
    for block in space.active_blocks(subnet):
        size = block_input_size(space, block.spec, resolution)
        result += block_operators(block.spec, block.kernel, block.expand, size)
    return (*result, *head_operators(space, resolution, widths))


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

    Attributes:
        fixed: of stem and head, by resolution: [resolutions, F].
        entries: of each choice of each block: [resolutions, blocks, kernels, expands, F].

    With W elastic width ratios, both have more rows: `fixed` one for each resolution and ratios of the stem's widths
    and the last one [resolutions * W**3], `entries` one for each resolution and ratios of a block's two ends
    [resolutions * W**2], the last varying fastest. Choices that a block does not have are 0.
    """

    def __init__(self, space: Space, measure: Measure) -> None:
        self.space, self._measure = space, measure
        self._ratios = max(1, len(space.width_ratios))
        rows = itertools.product(space.resolutions, *[range(self._ratios)] * 3)
        self.fixed = np.array([self._fixed(*row) for row in rows], dtype=np.float64)
        shape = (len(space.blocks), len(space.kernels), len(space.expands), self.fixed.shape[1])
        self.entries = np.zeros((len(space.resolutions) * self._ratios**2, *shape))
        ends = itertools.product(space.resolutions, range(self._ratios), range(self._ratios))
        for row, (resolution, before, after) in enumerate(ends):
            for spec in space.blocks:
                if before == after or spec.in_slot != spec.out_slot:
                    self._fill(row, self._at(spec, before, after), resolution)

    def _fixed(self, resolution: int, first: int, second: int, last: int) -> NDArray[np.float64]:
        ratios, count = self.space.width_ratios, self.space.num_widths
        chosen = (ratios[first], *[ratios[second]] * (count - 2), ratios[last]) if count else ()
        widths = self.space.active_widths(chosen)
        stem = stem_operators(self.space, resolution, widths)
        return self._measure((*stem, *head_operators(self.space, resolution, widths)))

    def _at(self, spec: BlockSpec, before: int, after: int) -> BlockSpec:
        """The block between widths of these ratios."""
        if not self.space.width_ratios:
            return spec
        before_widths, after_widths = (
            self.space.active_widths((self.space.width_ratios[each],) * self.space.num_widths)
            for each in (before, after)
        )
        return spec.narrowed(before_widths[spec.in_slot], after_widths[spec.out_slot])

    def _fill(self, row: int, spec: BlockSpec, resolution: int) -> None:
        size = block_input_size(self.space, spec, resolution)
        code = self.space.code
        for k, kernel in enumerate(code.kernels[spec.index]):
            for e, expand in enumerate(code.expands[spec.index]):
                self.entries[row, spec.index, k, e] = self._measure(block_operators(spec, kernel, expand, size))

    def __call__(self, genomes: Genomes) -> NDArray[np.float64]:
        """Sum over each genome's active blocks and its stem and head: [N, F]."""
        fixed, values = self.gather(genomes)
        return np.asarray(fixed + np.einsum("nbf,nb->nf", values, self.space.active(genomes)))

    def most(self, genomes: Genomes) -> NDArray[np.float64]:
        """The largest over each genome's active blocks and its stem and head, of values of 0 or more: [N, F]."""
        fixed, values = self.gather(genomes)
        return np.asarray(np.maximum(fixed, (values * self.space.active(genomes)[:, :, None]).max(axis=1)))

    def gather(self, genomes: Genomes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Each genome's stem and head [N, F], and its blocks [N, blocks, F], those that it skips too."""
        blocks = len(self.space.blocks)
        resolution = genomes[:, -1].astype(np.intp)
        fixed, rows = resolution, resolution[:, None]
        if self.space.width_ratios:
            widths, count = genomes[:, self.space.code.width_columns()].astype(np.intp), self._ratios
            before, after = ([getattr(spec, end) for spec in self.space.blocks] for end in ("in_slot", "out_slot"))
            fixed = ((resolution * count + widths[:, 0]) * count + widths[:, 1]) * count + widths[:, -1]
            rows = (rows * count + widths[:, before]) * count + widths[:, after]
        values = self.entries[rows, np.arange(blocks), genomes[:, :blocks], genomes[:, blocks : 2 * blocks]]
        return self.fixed[fixed], values


def macs_table(space: Space) -> BlockTable:
    """MACs of many genomes at once: [N, 1]."""
    return BlockTable(space, lambda ops: np.array([float(sum(operator.macs for operator in ops))]))
