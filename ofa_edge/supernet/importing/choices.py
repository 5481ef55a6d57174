"""The choices of a space that a net.config made: kernels, expand ratios, depths and widths."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ofa_edge.space import BlockSpec, Space
from ofa_edge.space.words import one_of
from ofa_edge.supernet.importing.net_config import (
    BottleneckConfig,
    ConvConfig,
    MBConvConfig,
    MobileConfig,
    ResidualConfig,
    ResNetConfig,
)


class UnfitError(Exception):
    """This space does not have the network; `depth` says after how many blocks that showed."""

    def __init__(self, depth: int, why: str) -> None:
        super().__init__(why)
        self.depth = depth


class _Fixed(NamedTuple):
    """What no choice changes about a block."""

    in_channels: int
    out_channels: int
    stride: int
    activation: str
    squeeze: bool
    shortcut: bool

    def __str__(self) -> str:
        extra = (" SE" if self.squeeze else "") + (" with a shortcut" if self.shortcut else "")
        return f"{self.in_channels} -> {self.out_channels} channels, stride {self.stride}, {self.activation}{extra}"


class _Block(NamedTuple):
    """A block of the file, in the words of a space."""

    fixed: _Fixed
    kernel: int
    expand: float
    middle: int


def mobile_choices(config: MobileConfig, space: Space) -> dict[str, Any]:
    """The vectors of `Subnet.config` for an MBConv network. Raises UnfitError."""
    first, *blocks = (_mbconv(index, block) for index, block in enumerate(config.blocks))
    layers = {layer.child: layer for layer in (*space.shape.stem, *space.shape.head)}
    same = layers["blocks"].shortcut and first.fixed.in_channels == first.fixed.out_channels
    facts: list[tuple[str, object, object]] = [
        ("first_conv.act_func", config.first_conv.act_func, layers["first_conv"].activation),
        ("first_conv.stride", config.first_conv.stride, space.strides[0]),
        ("blocks.0.act_func", first.fixed.activation, layers["blocks"].activation),
        ("blocks.0.stride", first.fixed.stride, 1),
        ("blocks.0 has a shortcut", first.fixed.shortcut, same),
    ]
    for name, layer in (
        ("final_expand_layer", config.final_expand_layer),
        ("feature_mix_layer", config.feature_mix_layer),
    ):
        if layer and name in layers:
            facts.append((f"{name}.act_func", layer.act_func, layers[name].activation))
    _require(facts)
    depths, expands = _walk(blocks, space, space.blocks)
    return {"d": depths, "ks": [block.kernel for block in blocks], "e": expands}


def resnet_choices(config: ResNetConfig, space: Space) -> dict[str, Any]:
    """The vectors of `Subnet.config` for ResNet-D. Raises UnfitError."""
    first, *inside, last = config.input_stem
    if isinstance(first, ResidualConfig) or isinstance(last, ResidualConfig):
        raise UnfitError(0, "the stem begins or ends with a residual block")
    act = space.shape.stem[0].activation
    facts: list[tuple[str, object, object]] = [
        ("input_stem.0.act_func", first.act_func, act),
        ("input_stem.0.stride", first.stride, space.strides[0]),
        ("the stem's last act_func", last.act_func, act),
        ("the stem's last stride", last.stride, 1),
    ]
    for block in inside:
        if not isinstance(block, ResidualConfig) or not isinstance(block.conv, ConvConfig):
            raise UnfitError(0, "the stem's middle layer is no residual convolution")
        facts += [
            ("input_stem.1.act_func", block.conv.act_func, act),
            ("input_stem.1.stride", block.conv.stride, 1),
            ("input_stem.1 has a shortcut", block.shortcut is not None, True),
        ]
    _require(facts)
    blocks = [_bottleneck(block) for block in config.blocks]
    opening = [block.fixed.out_channels for block in blocks if not block.fixed.shortcut]
    ratios = _ratios(space, (first.out_channels, last.out_channels, *opening))
    widths = space.active_widths(ratios)
    specs = [spec.within(widths, widths) for spec in space.blocks]
    depths, expands = _walk(blocks, space, [spec for spec in specs if spec.kind == "bottleneck"])
    return {"blocks": [len(inside), *depths[1:]], "e": expands, "widths": list(ratios)}


def _require(facts: Sequence[tuple[str, object, object]]) -> None:
    for name, found, wanted in facts:
        if found != wanted:
            raise UnfitError(0, f"{name} is {found!r}, wanted {wanted!r}")


def _mbconv(index: int, block: ResidualConfig) -> _Block:
    conv = block.conv
    if not isinstance(conv, MBConvConfig):
        raise UnfitError(index, f"block {index} is a plain convolution")
    fixed = _Fixed(
        conv.in_channels, conv.out_channels, conv.stride, conv.act_func, conv.use_se, block.shortcut is not None
    )
    return _Block(fixed, conv.kernel_size, conv.expand_ratio, conv.middle)


def _bottleneck(block: BottleneckConfig) -> _Block:
    plain = block.stride == 1 and block.in_channels == block.out_channels
    fixed = _Fixed(block.in_channels, block.out_channels, block.stride, block.act_func, False, plain)
    return _Block(fixed, block.kernel_size, block.expand_ratio, block.middle)


def _fixed(spec: BlockSpec) -> _Fixed:
    return _Fixed(spec.in_channels, spec.out_channels, spec.stride, spec.activation, spec.squeeze, spec.shortcut)


def _walk(blocks: Sequence[_Block], space: Space, supernet: Sequence[BlockSpec]) -> tuple[list[int], list[float]]:
    """Give each block its place: the next of its stage, else the first of the next stage.

    Returns:
        Blocks kept in each stage of the space, and the expand ratio of each block.
    """
    specs = {(spec.stage, spec.position): spec for spec in supernet}
    stage, position = supernet[0].stage - 1, 0
    depths, expands = [0] * space.num_stages, []
    for index, block in enumerate(blocks):
        following = [place for place in ((stage, position + 1), (stage + 1, 0)) if place in specs]
        fitting = [place for place in following if _fixed(specs[place]) == block.fixed]
        if not fitting:
            wanted = " or ".join(str(_fixed(specs[place])) for place in following) or "no more blocks"
            raise UnfitError(1 + index, f"elastic block {index} is {block.fixed}; wanted {wanted}")
        stage, position = fitting[0]
        depths[stage] += 1
        expands.append(_expand(index, block, specs[fitting[0]], space.expands))
    for stage in sorted({spec.stage for spec in supernet}):
        if depths[stage] not in space.stage_depths[stage]:
            wanted = one_of(space.stage_depths[stage])
            raise UnfitError(1 + len(blocks), f"stage {stage + 1} has {depths[stage]} blocks, wanted {wanted}")
    return depths, expands


def _expand(index: int, block: _Block, spec: BlockSpec, expands: Sequence[float]) -> float:
    """The space's ratio that gives this block's middle width; the one that the file names, where two do."""
    giving = [ratio for ratio in expands if spec.middle(ratio) == block.middle]
    if not giving:
        raise UnfitError(
            1 + index, f"elastic block {index} is {block.middle} wide inside: none of the ratios {tuple(expands)}"
        )
    return min(giving, key=lambda ratio: abs(ratio - block.expand))


def _ratios(space: Space, widths: Sequence[int]) -> tuple[float, ...]:
    """The width ratio of each elastic width; the smallest, where two round to one width."""
    if len(widths) != space.num_widths:
        raise UnfitError(0, f"{len(widths) - 2} stages, wanted {space.num_widths - 2}")
    choices = {ratio: space.active_widths((ratio,) * space.num_widths) for ratio in space.width_ratios}
    ratios = []
    for slot, width in enumerate(widths):
        giving = [ratio for ratio, active in choices.items() if active[slot] == width]
        if not giving:
            known = sorted(active[slot] for active in choices.values())
            raise UnfitError(0, f"elastic width {slot} is {width}, wanted one of {known}")
        ratios.append(giving[0])
    return tuple(ratios)
