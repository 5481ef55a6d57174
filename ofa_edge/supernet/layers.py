"""The layers of static networks: ordinary torch modules, in the published layout of extracted networks."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_edge.space import Activation, BlockSpec
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import BlockSlice

BN_MOMENTUM = 0.1
BN_EPS = 1e-5


def activation(name: Activation | None) -> nn.Module:
    """The activation module of that name; identity for None."""
    return {"relu": nn.ReLU, "relu6": nn.ReLU6, "h_swish": nn.Hardswish, None: nn.Identity}[name]()


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
        bn_eps: float = BN_EPS,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = BatchNorm(out_channels, eps=bn_eps, momentum=BN_MOMENTUM)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.act(self.bn(self.conv(x)))


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

    def __init__(
        self,
        channels: int,
        kernel: int,
        stride: int,
        act: Activation | None,
        squeezed: int = 0,
        bn_eps: float = BN_EPS,
    ) -> None:
        super().__init__(channels, channels, kernel, stride, groups=channels, act=act, bn_eps=bn_eps)
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
        act, eps = spec.activation, spec.bn_eps
        self.inverted_bottleneck = ConvBN(spec.in_channels, cut.middle, act=act, bn_eps=eps)
        self.depth_conv = DepthwiseBN(cut.middle, cut.kernel, spec.stride, act, cut.squeezed, eps)
        self.point_linear = ConvBN(cut.middle, spec.out_channels, bn_eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.point_linear(self.depth_conv(self.inverted_bottleneck(x)))


class StemConv(nn.Module):
    """The static first block: depthwise 3x3 and project, expand ratio 1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, act: Activation | None, bn_eps: float) -> None:
        super().__init__()
        self.depth_conv = DepthwiseBN(in_channels, 3, stride, act, bn_eps=bn_eps)
        self.point_linear = ConvBN(in_channels, out_channels, bn_eps=bn_eps)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.point_linear(self.depth_conv(x))


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
        """[N, features] or [N, features, 1, 1] -> logits [N, classes]."""
        return self.linear(torch.flatten(x, 1))


class GlobalPool(nn.Module):
    """Mean over the map."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 1, 1]."""
        return x.mean((2, 3), keepdim=True)


class Downsample(nn.Module):
    """The projection beside a bottleneck that opens a stage: average pooling, 1x1 convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, bn_eps: float) -> None:
        super().__init__()
        self.avg_pool = nn.AvgPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = BatchNorm(out_channels, eps=bn_eps, momentum=BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return self.bn(self.conv(self.avg_pool(x)))


class Bottleneck(nn.Module):
    """ResNet-D's bottleneck: reduce, 3x3, restore, add the shortcut, ReLU (He et al., CVPR 2016 and 2019)."""

    def __init__(self, spec: BlockSpec, cut: BlockSlice) -> None:
        super().__init__()
        act, eps = spec.activation, spec.bn_eps
        self.conv1 = ConvBN(spec.in_channels, cut.middle, act=act, bn_eps=eps)
        self.conv2 = ConvBN(cut.middle, cut.middle, cut.kernel, spec.stride, act=act, bn_eps=eps)
        self.conv3 = ConvBN(cut.middle, spec.out_channels, bn_eps=eps)
        self.downsample = (
            nn.Identity() if spec.shortcut else Downsample(spec.in_channels, spec.out_channels, spec.stride, eps)
        )
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        out = self.conv3(self.conv2(self.conv1(x)))
        return self.act(out + self.downsample(x))
