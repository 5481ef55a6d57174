"""The state_dict layout that a net.config describes: key -> shape."""

from collections.abc import Iterable

from ofa_edge.space import squeeze_width
from ofa_edge.supernet.importing.net_config import (
    BottleneckConfig,
    ConvConfig,
    MBConvConfig,
    MobileConfig,
    NetConfig,
    ResidualConfig,
)

Layout = dict[str, tuple[int, ...]]
_AnyBlock = ResidualConfig | ConvConfig | BottleneckConfig


def config_layout(config: NetConfig) -> Layout:
    """Keys and shapes of the network, batch counters left out."""
    named: dict[str, _AnyBlock | None] = {}
    if isinstance(config, MobileConfig):
        named["first_conv"] = config.first_conv
        named["final_expand_layer"] = config.final_expand_layer
        named["feature_mix_layer"] = config.feature_mix_layer
    else:
        named.update((f"input_stem.{index}", layer) for index, layer in enumerate(config.input_stem))
    blocks: Iterable[_AnyBlock] = config.blocks
    named.update((f"blocks.{index}", block) for index, block in enumerate(blocks))
    layout: Layout = {}
    for name, block in named.items():
        layout |= _block(name, block) if block else {}
    last = config.classifier
    layout["classifier.linear.weight"] = (last.out_features, last.in_features)
    layout["classifier.linear.bias"] = (last.out_features,)
    return layout


def _block(name: str, block: _AnyBlock) -> Layout:
    if isinstance(block, ConvConfig):
        return _conv(name, block)
    if isinstance(block, BottleneckConfig):
        return _bottleneck(name, block)
    if isinstance(block.conv, ConvConfig):
        return _conv(f"{name}.conv", block.conv)
    return _mbconv(f"{name}.conv", block.conv)


def _weights(name: str, *shape: int, norm: bool = True) -> Layout:
    parts = ("weight", "bias", "running_mean", "running_var") if norm else ()
    return {f"{name}.conv.weight": shape} | {f"{name}.bn.{part}": shape[:1] for part in parts}


def _conv(name: str, conv: ConvConfig) -> Layout:
    return _weights(name, conv.out_channels, conv.in_channels, conv.kernel_size, conv.kernel_size, norm=conv.use_bn)


def _mbconv(name: str, block: MBConvConfig) -> Layout:
    middle = block.middle
    layout = _weights(f"{name}.depth_conv", middle, 1, block.kernel_size, block.kernel_size)
    layout |= _weights(f"{name}.point_linear", block.out_channels, middle, 1, 1)
    if block.expand_ratio != 1:
        layout |= _weights(f"{name}.inverted_bottleneck", middle, block.in_channels, 1, 1)
    if block.use_se:
        gate, squeezed = f"{name}.depth_conv.se.fc", squeeze_width(middle)
        layout |= {f"{gate}.reduce.weight": (squeezed, middle, 1, 1), f"{gate}.reduce.bias": (squeezed,)}
        layout |= {f"{gate}.expand.weight": (middle, squeezed, 1, 1), f"{gate}.expand.bias": (middle,)}
    return layout


def _bottleneck(name: str, block: BottleneckConfig) -> Layout:
    middle = block.middle
    layout = _weights(f"{name}.conv1", middle, block.in_channels, 1, 1)
    layout |= _weights(f"{name}.conv2", middle, middle, 3, 3)
    layout |= _weights(f"{name}.conv3", block.out_channels, middle, 1, 1)
    if block.stride != 1 or block.in_channels != block.out_channels:
        layout |= _weights(f"{name}.downsample", block.out_channels, block.in_channels, 1, 1)
    return layout
