"""A subnet as `net.config`, key by key as the reference writes it: its `build_from_config` takes the result."""

from typing import Any

from ofa_edge.errors import UnsupportedError
from ofa_edge.space import ActiveBlock, BlockSpec, LayerSpec, Place, Space, Subnet, layout
from ofa_edge.supernet.importing.net_config import FAMILIES

_Config = dict[str, Any]
_MOMENTUM = 0.1
_ENDS: _Config = {"dropout_rate": 0, "ops_order": "weight_bn_act"}


def net_config(space: Space, subnet: Subnet) -> _Config:
    """A subnet as the reference describes a static network, in JSON values. The resolution is not part of it.

    Raises:
        UnsupportedError: the reference has no such family, or no layer of such a kind.
        ConfigError: the subnet is not of the space.
    """
    name = next((name for name, family in FAMILIES.items() if family == space.family), None)
    if name is None:
        raise UnsupportedError(
            f"no net.config of family {space.family}",
            f"the reference's networks are of {', '.join(FAMILIES.values())}",
            "Subnet.config() is JSON of every family",
        )
    config: _Config = {"name": name, "bn": {"momentum": _MOMENTUM, "eps": space.shape.bn_eps, "ws_eps": None}}
    for place in layout(space, space.check(subnet)):
        made = _part(place)
        child, dot, _ = place.target.partition(".")
        if made is not None and dot:
            config.setdefault(child, []).append(made)
        elif made is not None:
            config[child] = made
    return config


def _part(place: Place) -> _Config | None:
    """A layer or a block; None for pooling, which the reference's networks have of themselves."""
    part = place.part
    if isinstance(part, ActiveBlock):
        return _block(part)
    if part.layer.kind in ("max_pool", "global_pool"):
        return None
    if part.layer.kind == "classifier":
        ends = {"in_features": part.in_channels, "out_features": part.out_channels}
        return {"name": "LinearLayer", **ends, "bias": True, "use_bn": False, "act_func": None, **_ENDS}
    if part.layer.kind == "separable":
        conv = _mbconv(part, 3, 1, None, False)
        return _residual(conv, part.shortcut, part.out_channels)
    mix = part.layer.kind == "mix"
    return _conv(part, 1 if mix else part.layer.kernel, use_bn=not mix)


def _block(block: ActiveBlock) -> _Config:
    spec = block.spec
    middle = spec.middle(block.expand)
    if spec.kind == "bottleneck":
        return {
            "name": "ResNetBottleneckBlock",
            **_ends(spec),
            "kernel_size": block.kernel,
            "stride": spec.stride,
            "expand_ratio": block.expand,
            "mid_channels": middle,
            "act_func": spec.activation,
            "groups": 1,
            "downsample_mode": "avgpool_conv",
        }
    if spec.kind == "conv":
        return _residual(_conv(spec, block.kernel), spec.shortcut, spec.out_channels)
    conv = _mbconv(spec, block.kernel, block.expand, middle, spec.squeeze)
    return _residual(conv, spec.shortcut, spec.out_channels)


def _ends(spec: BlockSpec | LayerSpec) -> _Config:
    return {"in_channels": spec.in_channels, "out_channels": spec.out_channels}


def _activation(spec: BlockSpec | LayerSpec) -> str | None:
    return spec.activation if isinstance(spec, BlockSpec) else spec.layer.activation


def _conv(spec: BlockSpec | LayerSpec, kernel: int, use_bn: bool = True) -> _Config:
    fixed = {"dilation": 1, "groups": 1, "bias": False, "has_shuffle": False, "use_se": False}
    layer = {"name": "ConvLayer", "kernel_size": kernel, "stride": spec.stride, **fixed, **_ends(spec)}
    return {**layer, "use_bn": use_bn, "act_func": _activation(spec), **_ENDS}


def _mbconv(spec: BlockSpec | LayerSpec, kernel: int, expand: float, middle: int | None, squeeze: bool) -> _Config:
    layer = {"name": "MBConvLayer", **_ends(spec), "kernel_size": kernel, "stride": spec.stride}
    inside = {"expand_ratio": expand, "mid_channels": middle}
    return {**layer, **inside, "act_func": _activation(spec), "use_se": squeeze, "groups": None}


def _residual(conv: _Config, shortcut: bool, channels: int) -> _Config:
    ends = {"in_channels": channels, "out_channels": channels}
    identity = {"name": "IdentityLayer", **ends, "use_bn": False, "act_func": None, **_ENDS}
    return {"name": "ResidualBlock", "conv": conv, "shortcut": identity if shortcut else None}
