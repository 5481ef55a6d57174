"""What each kind of layer and of block is in torch: in a supernet, and in the static network of one subnet."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from ofa_edge.space import ActiveBlock, BlockKind, LayerKind, LayerSpec, Part, Space, Subnet, layout
from ofa_edge.supernet.elastic import ElasticBottleneck, ElasticConv, ElasticLinear, ElasticMBConv, ElasticResidual
from ofa_edge.supernet.layers import (
    Bottleneck,
    Classifier,
    ConvBN,
    FeatureMix,
    GlobalPool,
    MBConv,
    Residual,
    StemConv,
)
from ofa_edge.supernet.slicing import BlockSlice


def _conv(spec: LayerSpec) -> nn.Module:
    layer, ends = spec.layer, (spec.in_channels, spec.out_channels)
    return ConvBN(*ends, layer.kernel, spec.stride, act=layer.activation, bn_eps=spec.bn_eps)


def _separable(spec: LayerSpec) -> nn.Module:
    conv = StemConv(spec.in_channels, spec.out_channels, spec.stride, spec.layer.activation, spec.bn_eps)
    return Residual(conv, spec.shortcut)


_LAYERS: Mapping[LayerKind, Callable[[LayerSpec], nn.Module]] = MappingProxyType(
    {
        "conv": _conv,
        "separable": _separable,
        "max_pool": lambda spec: nn.MaxPool2d(3, spec.stride, 1),
        "global_pool": lambda spec: GlobalPool(),
        "mix": lambda spec: FeatureMix(spec.in_channels, spec.out_channels),
        "classifier": lambda spec: Classifier(spec.in_channels, spec.out_channels),
    }
)


def _elastic_conv(spec: LayerSpec) -> nn.Module:
    layer, ends = spec.layer, (spec.in_channels, spec.out_channels)
    return ElasticConv(*ends, layer.kernel, spec.stride, act=layer.activation, bn_eps=spec.bn_eps)


# Layers that are others where widths are elastic.
_ELASTIC_LAYERS: Mapping[LayerKind, Callable[[LayerSpec], nn.Module]] = MappingProxyType(
    {"conv": _elastic_conv, "classifier": lambda spec: ElasticLinear(spec.in_channels, spec.out_channels)}
)


def _mbconv_block(block: ActiveBlock) -> nn.Module:
    return Residual(MBConv(block.spec, _cut(block)), block.spec.shortcut)


def _conv_block(block: ActiveBlock) -> nn.Module:
    spec = block.spec
    conv = ConvBN(spec.in_channels, spec.out_channels, block.kernel, act=spec.activation, bn_eps=spec.bn_eps)
    return Residual(conv, spec.shortcut)


_BLOCKS: Mapping[BlockKind, Callable[[ActiveBlock], nn.Module]] = MappingProxyType(
    {
        "mbconv": _mbconv_block,
        "bottleneck": lambda block: Bottleneck(block.spec, _cut(block)),
        "conv": _conv_block,
    }
)


def _elastic_conv_block(block: ActiveBlock) -> nn.Module:
    spec = block.spec
    conv = ElasticConv(spec.in_channels, spec.out_channels, block.kernel, act=spec.activation, bn_eps=spec.bn_eps)
    return ElasticResidual(conv, spec)


_ELASTIC_BLOCKS: Mapping[BlockKind, Callable[[ActiveBlock], nn.Module]] = MappingProxyType(
    {
        "mbconv": lambda block: ElasticResidual(ElasticMBConv(block.spec, block.expand), block.spec),
        "bottleneck": lambda block: ElasticBottleneck(block.spec, block.expand),
        "conv": _elastic_conv_block,
    }
)


def static_module(part: Part) -> nn.Module:
    """A layer or block of one subnet."""
    return _BLOCKS[part.spec.kind](part) if isinstance(part, ActiveBlock) else _LAYERS[part.layer.kind](part)


def elastic_module(part: Part, widths: bool) -> nn.Module:
    """A layer or block of a supernet, in full; layers outside the blocks are elastic where widths are."""
    if isinstance(part, ActiveBlock):
        return _ELASTIC_BLOCKS[part.spec.kind](part)
    makers = {**_LAYERS, **_ELASTIC_LAYERS} if widths else _LAYERS
    return makers[part.layer.kind](part)


def children(space: Space, subnet: Subnet, make: Callable[[Part], nn.Module]) -> dict[str, nn.Module]:
    """The children of a subnet's network, in order, by name."""
    made: dict[str, list[nn.Module]] = {}
    for place in layout(space, subnet):
        made.setdefault(place.target.partition(".")[0], []).append(make(place.part))
    return {name: nn.ModuleList(each) if name in space.shape.lists else each[0] for name, each in made.items()}


def _cut(block: ActiveBlock) -> BlockSlice:
    return BlockSlice.of(block.spec, block.kernel, block.expand)
