"""The static network of one subnet: ordinary torch modules, in the published layout of extracted networks."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from ofa_edge.space import Activation, BlockSpec, Space, Subnet
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import BlockSlice

BN_MOMENTUM = 0.1
BN_EPS = 1e-5


def activation(name: Activation | None) -> nn.Module:
    """The activation module of that name; identity for None."""
    return {"relu": nn.ReLU, "h_swish": nn.Hardswish, None: nn.Identity}[name]()


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: Activation | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = BatchNorm(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class SqueezeExcite(nn.Module):
    """Channel gate: mean over the map, reduce, ReLU, expand, hard sigmoid (Hu et al., CVPR 2018; MobileNetV3, 5.3)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc = nn.ModuleDict(
            {"reduce": nn.Conv2d(channels, squeezed, 1), "expand": nn.Conv2d(squeezed, channels, 1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        gate = self.fc["reduce"](x.mean((2, 3), keepdim=True))
        return x * F.hardsigmoid(self.fc["expand"](F.relu(gate)))


class DepthwiseBN(ConvBN):
    """Depthwise convolution, batch norm, activation, then squeeze-and-excite where the stage has it."""

    def __init__(self, channels: int, kernel: int, stride: int, act: Activation, squeezed: int = 0) -> None:
        super().__init__(channels, channels, kernel, stride, groups=channels, act=act)
        if squeezed:
            self.se = SqueezeExcite(channels, squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H', W']."""
        x = super().forward(x)
        return cast(Tensor, self.se(x)) if hasattr(self, "se") else x


class MBConv(nn.Module):
    """Inverted bottleneck: expand, depthwise, project (MobileNetV2; MobileNetV3 with the gate)."""

    def __init__(self, spec: BlockSpec, cut: BlockSlice) -> None:
        super().__init__()
        self.inverted_bottleneck = ConvBN(spec.in_channels, cut.middle, act=spec.activation)
        self.depth_conv = DepthwiseBN(cut.middle, cut.kernel, spec.stride, spec.activation, cut.squeezed)
        self.point_linear = ConvBN(cut.middle, spec.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.point_linear(self.depth_conv(self.inverted_bottleneck(x)))  # type: ignore[no-any-return]


class StemConv(nn.Module):
    """The static first block: depthwise 3x3 and project, expand ratio 1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depth_conv = DepthwiseBN(in_channels, 3, 1, "relu")
        self.point_linear = ConvBN(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W]."""
        return self.point_linear(self.depth_conv(x))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A block and, where shapes allow, its shortcut."""

    def __init__(self, conv: nn.Module, shortcut: bool) -> None:
        super().__init__()
        self.conv = conv
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block, add the input where there is a shortcut."""
        out: Tensor = self.conv(x)
        return out + x if self.shortcut else out


class FeatureMix(nn.Module):
    """Pointwise convolution over the pooled features: no batch norm, no bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, 1, 1] -> [N, out, 1, 1], hard-swish."""
        return F.hardswish(self.conv(x))


class Classifier(nn.Module):
    """The last linear layer."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, features] -> logits [N, classes]."""
        return self.linear(x)  # type: ignore[no-any-return]


class Trunk(NamedTuple):
    """The parts that supernet and static network share."""

    first_conv: ConvBN
    first_block: Residual
    final_expand_layer: ConvBN
    feature_mix_layer: FeatureMix
    classifier: Classifier

    @classmethod
    def of(cls, space: Space) -> "Trunk":
        """Fresh modules of a space's fixed shape."""
        stem, static, *_, last, final, feature = space.widths
        return cls(
            ConvBN(space.in_channels, stem, 3, space.strides[0], act="h_swish"),
            Residual(StemConv(stem, static), stem == static),
            ConvBN(last, final, act="h_swish"),
            FeatureMix(final, feature),
            Classifier(feature, space.num_classes),
        )


class StaticNet(nn.Module):
    """One subnet as a plain network.

    Attributes:
        space, subnet: what it was made from.
        calibrated: whether its BN statistics are its own. A supernet's running statistics are a blend over the subnets
            that were trained, so a freshly extracted network predicts next to nothing; evaluation and export refuse it.
    """

    def __init__(self, space: Space, subnet: Subnet) -> None:
        super().__init__()
        self.space = space
        self.subnet = subnet
        self.calibrated = False
        trunk = Trunk.of(space)
        self.first_conv = trunk.first_conv
        blocks = [trunk.first_block]
        for stage, pairs in enumerate(subnet.stages):
            for position, (kernel, expand) in enumerate(pairs):
                spec = space.blocks[stage * space.max_depth + position]
                blocks.append(Residual(MBConv(spec, BlockSlice.of(spec, kernel, expand)), spec.shortcut))
        self.blocks = nn.ModuleList(blocks)
        self.final_expand_layer = trunk.final_expand_layer
        self.feature_mix_layer = trunk.feature_mix_layer
        self.classifier = trunk.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, C, r, r] -> logits [N, classes]."""
        x = self.first_conv(x)
        for block in self.blocks:
            x = block(x)
        x = self.final_expand_layer(x).mean((2, 3), keepdim=True)
        return self.classifier(torch.flatten(self.feature_mix_layer(x), 1))  # type: ignore[no-any-return]
