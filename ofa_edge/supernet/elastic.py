"""Elastic layers: full weights of which every forward pass uses a slice (Once-For-All, section 3.3).

Each layer has two methods: `sliced(cut)` gives the tensors of its static twin, under the twin's names, as views
wherever no kernel transform is needed; `forward(x, cut)` computes with exactly those. They are ordinary modules and
need no supernet around them:

    spec = BlockSpec(0, 0, 0, in_channels=16, out_channels=24, stride=2, activation="relu")
    block = ElasticMBConv(spec, largest_expand=6)
    y = block(x, BlockSlice.of(spec, kernel=5, expand=4))       # [N, 16, H, W] -> [N, 24, H/2, W/2]
    weights = block.sliced(BlockSlice.of(spec, 5, 4))           # loads into static.MBConv

Parameter names are those of the published checkpoints, where what is elastic lies one module deeper.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_edge.space import Activation, BlockSpec
from ofa_edge.supernet.depthwise import depthwise_conv2d
from ofa_edge.supernet.layers import BN_EPS, BN_MOMENTUM, SqueezeExcite, activation
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import (
    FULL_KERNEL,
    BlockSlice,
    ConvSlice,
    Cut,
    sliced_gate,
    sliced_kernel,
    sliced_norm,
)

Path = Callable[[Tensor], Tensor]  # what noise does to a residual branch


class _Conv(nn.Module):
    """Holds a convolution under the extra level of the published layout."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv


class _Norm(nn.Module):
    """Holds a batch norm under the extra level of the published layout."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.bn = BatchNorm(channels, eps=eps, momentum=BN_MOMENTUM)

    def forward(self, x: Tensor, active: dict[str, Tensor]) -> Tensor:
        """Normalise with the sliced tensors; in training the statistics are updated in place, through the views."""
        return self.bn.normalise(
            x, active["bn.weight"], active["bn.bias"], active["bn.running_mean"], active["bn.running_var"]
        )


class _KernelConv(_Conv):
    """Full depthwise kernels and the matrices that shrink them."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(channels, channels, FULL_KERNEL, groups=channels, bias=False))
        self.register_parameter("5to3_matrix", nn.Parameter(torch.eye(9)))
        self.register_parameter("7to5_matrix", nn.Parameter(torch.eye(25)))


class ElasticConv(nn.Module):
    """Convolution, batch norm and activation, elastic in both widths."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        act: Activation | None = None,
        bn_eps: float = BN_EPS,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = _Conv(nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False))
        self.bn = _Norm(out_channels, bn_eps)
        self.act = activation(act)

    def sliced(self, cut: ConvSlice) -> dict[str, Tensor]:
        """`conv.weight` [out, in, k, k] and `bn.*` [out]."""
        weight = self.conv.conv.weight[: cut.out_channels, : cut.in_channels]
        return {"conv.weight": weight, **sliced_norm(self.bn.bn, cut.out_channels)}

    def forward(self, x: Tensor, cut: ConvSlice) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        active = self.sliced(cut)
        weight = active["conv.weight"]
        x = F.conv2d(x, weight, None, self.stride, weight.shape[-1] // 2)
        return self.act(self.bn(x, active))


class ElasticDepthwise(nn.Module):
    """Depthwise convolution of elastic kernel size and width, batch norm, activation, and squeeze-and-excite if any."""

    def __init__(self, channels: int, squeezed: int, stride: int, act: Activation, bn_eps: float = BN_EPS) -> None:
        super().__init__()
        self.stride = stride
        self.conv = _KernelConv(channels)
        self.bn = _Norm(channels, bn_eps)
        self.act = activation(act)
        if squeezed:
            self.se = SqueezeExcite(channels, squeezed)

    def sliced(self, cut: BlockSlice) -> dict[str, Tensor]:
        """`conv.weight` [middle, 1, k, k], `bn.*` [middle], and `se.fc.*` where there is a gate."""
        matrices = dict(self.conv.named_parameters(recurse=False))
        result = {"conv.weight": sliced_kernel(self.conv.conv.weight, matrices, cut.middle, cut.kernel)}
        result |= sliced_norm(self.bn.bn, cut.middle)
        return result | sliced_gate(self.se.fc, cut) if cut.squeezed else result

    def forward(self, x: Tensor, cut: BlockSlice) -> Tensor:
        """[N, middle, H, W] -> [N, middle, H', W']."""
        active = self.sliced(cut)
        x = self.act(self.bn(depthwise_conv2d(x, active["conv.weight"], self.stride), active))
        if cut.squeezed:
            pooled = x.mean((2, 3), keepdim=True)
            squeezed = F.relu(F.conv2d(pooled, active["se.fc.reduce.weight"], active["se.fc.reduce.bias"]))
            x = x * F.hardsigmoid(F.conv2d(squeezed, active["se.fc.expand.weight"], active["se.fc.expand.bias"]))
        return x


class ElasticMBConv(nn.Module):
    """An inverted bottleneck of elastic kernel size and elastic width; without its shortcut.

    Args:
        spec: widths, stride, activation.
        largest_expand: the expand ratio of the full weights.
    """

    def __init__(self, spec: BlockSpec, largest_expand: float) -> None:
        super().__init__()
        self.spec = spec
        full = BlockSlice.of(spec, FULL_KERNEL, largest_expand)
        act, eps = spec.activation, spec.bn_eps
        self.inverted_bottleneck = ElasticConv(spec.in_channels, full.middle, act=act, bn_eps=eps)
        self.depth_conv = ElasticDepthwise(full.middle, full.squeezed, spec.stride, act, eps)
        self.point_linear = ElasticConv(full.middle, spec.out_channels, bn_eps=eps)

    @property
    def last_norm(self) -> BatchNorm:
        """The batch norm that ends the block."""
        return self.point_linear.bn.bn

    def sliced(self, cut: BlockSlice) -> dict[str, Tensor]:
        """The tensors of the static block."""
        return {
            **_prefixed("inverted_bottleneck", self.inverted_bottleneck.sliced(cut.entry)),
            **_prefixed("depth_conv", self.depth_conv.sliced(cut)),
            **_prefixed("point_linear", self.point_linear.sliced(cut.exit)),
        }

    def forward(self, x: Tensor, cut: BlockSlice) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W'] with the active slice."""
        x = self.depth_conv(self.inverted_bottleneck(x, cut.entry), cut)
        return self.point_linear(x, cut.exit)


class ElasticResidual(nn.Module):
    """An elastic layer and, where its shape allows, its shortcut."""

    def __init__(self, conv: ElasticMBConv | ElasticConv, spec: BlockSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conv = conv

    @property
    def last_norm(self) -> BatchNorm:
        """The batch norm that ends the branch."""
        return self.conv.last_norm if isinstance(self.conv, ElasticMBConv) else self.conv.bn.bn

    def sliced(self, cut: Cut) -> dict[str, Tensor]:
        """The tensors of the static block."""
        return _prefixed("conv", self.conv.sliced(cut))  # type: ignore[arg-type]  # each takes its own kind of cut

    def forward(self, x: Tensor, cut: Cut, path: Path | None = None) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']; `path` works on the branch beside a shortcut."""
        out: Tensor = self.conv(x, cut)
        if not self.spec.narrowed(cut.in_channels, cut.out_channels).shortcut:
            return out
        return (path(out) if path else out) + x


class ElasticDownsample(ElasticConv):
    """The projection beside a bottleneck that opens a stage: average pooling, 1x1 convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, bn_eps: float = BN_EPS) -> None:
        super().__init__(in_channels, out_channels, bn_eps=bn_eps)
        self.pool = stride

    def forward(self, x: Tensor, cut: ConvSlice) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return super().forward(F.avg_pool2d(x, self.pool, ceil_mode=True) if self.pool > 1 else x, cut)


class ElasticBottleneck(nn.Module):
    """ResNet-D's bottleneck, elastic in all three widths (He et al., CVPR 2019, for the D).

    Args:
        spec: widths, stride, activation.
        largest_expand: middle width of the full weights, as a multiple of the output width.
    """

    def __init__(self, spec: BlockSpec, largest_expand: float) -> None:
        super().__init__()
        self.spec = spec
        middle, act, eps = spec.middle(largest_expand), spec.activation, spec.bn_eps
        self.conv1 = ElasticConv(spec.in_channels, middle, act=act, bn_eps=eps)
        self.conv2 = ElasticConv(middle, middle, 3, spec.stride, act=act, bn_eps=eps)
        self.conv3 = ElasticConv(middle, spec.out_channels, bn_eps=eps)
        if not spec.shortcut:
            self.downsample = ElasticDownsample(spec.in_channels, spec.out_channels, spec.stride, eps)
        self.act = activation(act)

    @property
    def last_norm(self) -> BatchNorm:
        """The batch norm that ends the branch."""
        return self.conv3.bn.bn

    def sliced(self, cut: BlockSlice) -> dict[str, Tensor]:
        """The tensors of the static block."""
        result = {
            **_prefixed("conv1", self.conv1.sliced(cut.entry)),
            **_prefixed("conv2", self.conv2.sliced(cut.inner)),
            **_prefixed("conv3", self.conv3.sliced(cut.exit)),
        }
        if not self.spec.shortcut:
            result |= _prefixed("downsample", self.downsample.sliced(cut.across))
        return result

    def forward(self, x: Tensor, cut: BlockSlice, path: Path | None = None) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']; `path` works on the branch where the shortcut is the input itself."""
        out = self.conv3(self.conv2(self.conv1(x, cut.entry), cut.inner), cut.exit)
        if not self.spec.shortcut:
            return self.act(out + self.downsample(x, cut.across))
        return self.act((path(out) if path else out) + x)


class ElasticLinear(nn.Module):
    """The classifier behind elastic features."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Module()
        self.linear.linear = nn.Linear(features, num_classes)

    def sliced(self, cut: ConvSlice) -> dict[str, Tensor]:
        """`linear.weight` [classes, features] and `linear.bias` [classes]."""
        linear = self.get_submodule("linear.linear")
        weight = linear.get_parameter("weight")[:, : cut.in_channels]
        return {"linear.weight": weight, "linear.bias": linear.get_parameter("bias")}

    def forward(self, x: Tensor, cut: ConvSlice) -> Tensor:
        """[N, features] -> logits [N, classes]."""
        active = self.sliced(cut)
        return F.linear(x, active["linear.weight"], active["linear.bias"])


def _prefixed(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in tensors.items()}
