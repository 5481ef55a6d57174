"""net.config files as the reference writes them, made from subnets of ours."""

from typing import Any

from ofa_edge.space import ActiveBlock, Space, Subnet

IDENTITY = {"name": "IdentityLayer", "in_channels": [8], "out_channels": [8]}


def conv(inside: int, outside: int, kernel: int, act: str, **changes: Any) -> dict[str, Any]:
    layer = {"name": "ConvLayer", "in_channels": inside, "out_channels": outside, "kernel_size": kernel}
    return {**layer, "stride": 1, "bias": False, "use_bn": True, "act_func": act, "dropout_rate": 0, **changes}


def mbconv(inside: int, outside: int, kernel: int, expand: float, act: str, **changes: Any) -> dict[str, Any]:
    layer = {"name": "MBConvLayer", "in_channels": inside, "out_channels": outside, "kernel_size": kernel}
    return {**layer, "stride": 1, "expand_ratio": expand, "mid_channels": None, "act_func": act, "use_se": False} | (
        changes
    )


def residual(layer: dict[str, Any], shortcut: bool) -> dict[str, Any]:
    return {"name": "ResidualBlock", "conv": layer, "shortcut": IDENTITY if shortcut else None}


def elastic(block: ActiveBlock) -> dict[str, Any]:
    spec = block.spec
    facts = {"stride": spec.stride, "mid_channels": spec.middle(block.expand), "use_se": spec.squeeze}
    layer = mbconv(spec.in_channels, spec.out_channels, block.kernel, block.expand, spec.activation, **facts)
    return residual(layer, spec.shortcut)


def mobile(space: Space, subnet: Subnet) -> dict[str, Any]:
    """Of an MBConv network, as get_active_net_config gives it."""
    stem, static, *_ = space.widths
    head = space.widths[2 + space.num_stages - 1 :]
    shape = space.shape
    first_conv, first_block = shape.stem
    first = residual(mbconv(stem, static, 3, 1, first_block.activation), first_block.shortcut and stem == static)
    act = shape.head[0].activation
    config = {
        "name": "MobileNetV3" if len(head) == 3 else "ProxylessNASNets",
        "bn": {"momentum": 0.1, "eps": shape.bn_eps, "ws_eps": None},
        "first_conv": conv(space.in_channels, stem, 3, first_conv.activation, stride=space.strides[0]),
        "blocks": [first, *map(elastic, space.active_blocks(subnet))],
        "feature_mix_layer": conv(head[-2], head[-1], 1, act, use_bn=len(head) == 2),
        "classifier": linear(head[-1], space.num_classes),
    }
    return {**config, "final_expand_layer": conv(*head[:2], 1, act)} if len(head) == 3 else config


def resnet(space: Space, subnet: Subnet) -> dict[str, Any]:
    """Of ResNet-D."""
    middle, stem, *_, last = space.active_widths(subnet.widths)
    inside = [residual(conv(middle, middle, 3, "relu"), True)] * len(subnet.stages[0])
    blocks = []
    for block in space.active_blocks(subnet):
        spec = block.spec
        if spec.kind == "bottleneck":
            layer = {"name": "ResNetBottleneckBlock", "in_channels": spec.in_channels, "kernel_size": 3}
            layer |= {"out_channels": spec.out_channels, "stride": spec.stride, "expand_ratio": block.expand}
            layer |= {"mid_channels": spec.middle(block.expand), "act_func": "relu", "groups": 1}
            blocks.append({**layer, "downsample_mode": "avgpool_conv"})
    return {
        "name": "ResNets",
        "bn": {"momentum": 0.1, "eps": 1e-5},
        "input_stem": [conv(space.in_channels, middle, 3, "relu", stride=2), *inside, conv(middle, stem, 3, "relu")],
        "blocks": blocks,
        "classifier": linear(last, space.num_classes),
    }


def linear(features: int, classes: int) -> dict[str, Any]:
    return {"name": "LinearLayer", "in_features": features, "out_features": classes, "bias": True, "dropout_rate": 0}


def of(space: Space, subnet: Subnet) -> dict[str, Any]:
    """Of a network of any family."""
    return resnet(space, subnet) if space.width_ratios else mobile(space, subnet)


def older(config: dict[str, Any]) -> dict[str, Any]:
    """The same under the names of all published files."""
    blocks = [
        {
            "name": "MobileInvertedResidualBlock",
            "mobile_inverted_conv": {**block["conv"], "name": "MBInvertedConvLayer"},
            "shortcut": block["shortcut"],
        }
        for block in config["blocks"]
    ]
    return {**config, "blocks": blocks}
