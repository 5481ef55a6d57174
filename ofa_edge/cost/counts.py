"""What a subnet costs: its operators with shapes, its MACs and parameters, and block sums for many subnets at once.

Counting follows the reference: convolutions, squeeze-and-excite and the classifier; no batch norm, no activations.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.space import BlockSpec, Genomes, Layer, LayerSpec, Space, Subnet, output_size, squeeze_width

OperatorKind = Literal[
    "conv", "transposed", "pointwise", "depthwise", "dense", "product", "pool", "scale", "add", "h_swish", "move"
]


@dataclass(frozen=True)
class Operator:
    """One operator as a runtime sees it after BN folding, batch 1. Activations other than hard-swish are fused.

    Kernels and maps are square where no width is given; a volume's height is all its rows. `transposed` is a
    convolution whose kernel lies over the output, `product` one of two computed values. `move` copies values and
    computes nothing.
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
    groups: int = 1  # of `conv` and `transposed`; a depthwise convolution is a kind of its own
    batch: int = 1  # products of matrices, of a `product`

    @property
    def taps(self) -> int:
        """Values under the kernel, one channel."""
        return self.kernel * (self.kernel if self.kernel_width is None else self.kernel_width)

    @property
    def positions(self) -> int:
        """Values of the output, one channel."""
        return self.out_size * (self.out_size if self.out_width is None else self.out_width)

    @property
    def windows(self) -> int:
        """Taps of the kernel over all its places, whatever the channels."""
        return self.taps * (self.in_positions if self.kind == "transposed" else self.positions)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        if self.kind == "product":
            return self.batch * self.in_channels * self.out_channels * self.positions
        return self.weights * (self.in_positions if self.kind == "transposed" else self.positions)

    @property
    def weights(self) -> int:
        """Weights, biases not counted."""
        if self.kind in ("conv", "transposed", "pointwise", "dense"):
            return self.taps * self.in_channels * self.out_channels // self.groups
        return self.taps * self.out_channels if self.kind == "depthwise" else 0

    @property
    def params(self) -> int:
        """Trainable parameters before BN folding."""
        return self.weights + self.out_channels * (2 * self.normalised + self.biased)

    @property
    def in_positions(self) -> int:
        """Values of the input, one channel."""
        return self.in_size * (self.in_size if self.in_width is None else self.in_width)

    @property
    def in_elements(self) -> int:
        """Input values read (both inputs of an addition or a product)."""
        if self.kind == "product":
            return self.batch * self.in_channels * (self.in_positions + self.out_channels)
        return self.in_channels * self.in_positions * (2 if self.kind == "add" else 1)

    @property
    def out_elements(self) -> int:
        """Output values written."""
        return self.batch * self.out_channels * self.positions


def layer_operators(spec: LayerSpec, in_size: int) -> tuple[Operator, ...]:
    """One layer outside the blocks, on a map of `in_size`."""
    before, after, layer = spec.in_channels, spec.out_channels, spec.layer
    size = output_size(in_size, spec.stride)
    swish = (Operator("h_swish", after, after, size, size),) if layer.activation == "h_swish" else ()
    if layer.kind == "conv":
        kind: OperatorKind = "conv" if layer.kernel > 1 else "pointwise"
        return (Operator(kind, before, after, in_size, size, layer.kernel, spec.stride, normalised=True), *swish)
    if layer.kind == "separable":
        return _separable_operators(spec, in_size, size)
    if layer.kind == "max_pool":
        return (Operator("pool", before, after, in_size, size, 3, spec.stride),)
    if layer.kind == "global_pool":
        return (Operator("pool", before, after, in_size, 1),)
    return (Operator("dense", before, after, in_size, size, biased=layer.kind == "classifier"), *swish)


def _separable_operators(spec: LayerSpec, in_size: int, size: int) -> tuple[Operator, ...]:
    before, after = spec.in_channels, spec.out_channels
    operators = [Operator("depthwise", before, before, in_size, size, 3, spec.stride, normalised=True)]
    if spec.layer.activation == "h_swish":
        operators.append(Operator("h_swish", before, before, size, size))
    operators.append(Operator("pointwise", before, after, size, size, normalised=True))
    if spec.shortcut:
        operators.append(Operator("add", after, after, size, size))
    return tuple(operators)


def stem_operators(space: Space, resolution: int, widths: tuple[int, ...] | None = None) -> tuple[Operator, ...]:
    """The layers in front of the last stage, at `widths` (see `Space.active_widths`; the largest by default)."""
    return _layers_operators(space, resolution, space.shape.stem_places, widths)


def head_operators(space: Space, resolution: int, widths: tuple[int, ...] | None = None) -> tuple[Operator, ...]:
    """The layers behind the stages, at `widths`."""
    return _layers_operators(space, resolution, space.shape.head_places, widths)


def _layers_operators(
    space: Space, resolution: int, places: tuple[int, ...], widths: tuple[int, ...] | None
) -> tuple[Operator, ...]:
    sizes = _sizes(space, resolution)
    layers = ((space.layer(place, widths or space.widths), sizes[place]) for place in places)
    return tuple(operator for layer, size in layers for operator in layer_operators(layer, size))


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


def _sizes(space: Space, resolution: int) -> tuple[int, ...]:
    """Spatial size in front of each of the family's parts."""
    sizes = [resolution]
    for part, stride in zip(space.shape.parts, space.part_strides, strict=True):
        pooled = isinstance(part, Layer) and part.kind == "global_pool"
        sizes.append(1 if pooled else output_size(sizes[-1], stride))
    return tuple(sizes)


def stage_input_size(space: Space, resolution: int, stage: int) -> int:
    """Spatial size at the input of `stage` (of the head, for the number after the last stage)."""
    shape = space.shape
    return _sizes(space, resolution)[(*shape.stage_places, shape.head_places[0])[stage]]


def block_input_size(space: Space, spec: BlockSpec, resolution: int) -> int:
    """Spatial size at the input of one block."""
    place = space.shape.stage_places[spec.stage]
    return _sizes(space, resolution)[place + (spec.position > 0)]


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


def frames(space: Space) -> Iterator[tuple[tuple[Operator, ...], tuple[Operator, ...]]]:
    """Stem and head at each resolution and, where widths are elastic, at each choice of the widths that they have.

    The last of `Family.frame_slots` varies fastest.
    """
    slots = space.shape.frame_slots if space.width_ratios else ()
    for resolution, chosen in itertools.product(
        space.resolutions, itertools.product(space.width_ratios, repeat=len(slots))
    ):
        own = dict(zip(slots, chosen, strict=True))
        widths = space.active_widths(tuple(own.get(slot, space.width_ratios[-1]) for slot in range(space.num_widths)))
        yield stem_operators(space, resolution, widths), head_operators(space, resolution, widths)


Measure = Callable[[tuple[Operator, ...]], NDArray[np.float64]]


class BlockTable:
    """An additive quantity of a space, tabulated by block, so that summing it over 10,000 subnets takes milliseconds.

    Args:
        space: the search space.
        measure: maps a block's operators to a vector of F values; called once for each table entry.

    Attributes:
        fixed: of stem and head, by resolution: [resolutions, F].
        entries: of each choice of each block: [resolutions, blocks, kernels, expands, F].

    With W elastic width ratios, both have more rows: `fixed` those of `frames`, `entries` one for each resolution and
    ratios of a block's two ends [resolutions * W**2], the last varying fastest. Choices that a block lacks are 0.
    """

    def __init__(self, space: Space, measure: Measure) -> None:
        self.space, self._measure = space, measure
        widths = [space.active_widths((ratio,) * space.num_widths) for ratio in space.width_ratios] or [space.widths]
        self._ratios = len(widths)
        self.fixed = np.array([measure((*stem, *head)) for stem, head in frames(space)], dtype=np.float64)
        shape = (len(space.blocks), len(space.kernels), len(space.expands), self.fixed.shape[1])
        self.entries = np.zeros((len(space.resolutions) * self._ratios**2, *shape))
        for row, (resolution, before, after) in enumerate(itertools.product(space.resolutions, widths, widths)):
            for spec in space.blocks:
                if before == after or spec.in_slot != spec.out_slot:
                    self._fill(row, spec.within(before, after), resolution)

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
            for slot in self.space.shape.frame_slots:
                fixed = fixed * count + widths[:, slot]
            rows = (rows * count + widths[:, before]) * count + widths[:, after]
        values = self.entries[rows, np.arange(blocks), genomes[:, :blocks], genomes[:, blocks : 2 * blocks]]
        return self.fixed[fixed], values


def macs_table(space: Space) -> BlockTable:
    """MACs of many genomes at once: [N, 1]."""
    return BlockTable(space, lambda ops: np.array([float(sum(operator.macs for operator in ops))]))
