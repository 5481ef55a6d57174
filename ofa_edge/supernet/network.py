"""The Once-For-All supernet of MobileNetV3: one set of weights, every subnet a slice of it.

No subnet is ever "active": the subnet is an argument of `forward`. Parameter names are those of the published
checkpoints.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from ofa_edge.space import BlockSpec, Space, Subnet
from ofa_edge.supernet.depthwise import depthwise_conv2d
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import FULL_KERNEL, BlockSlice, slice_block
from ofa_edge.supernet.static import BN_EPS, BN_MOMENTUM, Residual, SqueezeExcite, StaticNet, Trunk


class _Nested(nn.Module):
    """Holds one module under one name: the extra level that elastic layers have in the published layout."""

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__()
        self.add_module(name, module)


class _KernelConv(_Nested):
    """Full depthwise kernels and the matrices that shrink them."""

    def __init__(self, channels: int) -> None:
        super().__init__("conv", nn.Conv2d(channels, channels, FULL_KERNEL, groups=channels, bias=False))
        self.register_parameter("5to3_matrix", nn.Parameter(torch.eye(9)))
        self.register_parameter("7to5_matrix", nn.Parameter(torch.eye(25)))


class _Part(nn.Module):
    """A convolution and its batch norm, at full width."""

    def __init__(self, conv: nn.Module, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self.bn = _Nested("bn", BatchNorm(channels, eps=BN_EPS, momentum=BN_MOMENTUM))


class ElasticMBConv(nn.Module):
    """An inverted bottleneck with elastic kernel size and elastic width (Once-For-All, section 3.3)."""

    def __init__(self, space: Space, spec: BlockSpec) -> None:
        super().__init__()
        self.spec = spec
        full = BlockSlice.of(spec, FULL_KERNEL, space.expands[-1])
        expand = nn.Conv2d(spec.in_channels, full.middle, 1, bias=False)
        self.inverted_bottleneck = _Part(_Nested("conv", expand), full.middle)
        self.depth_conv = _Part(_KernelConv(full.middle), full.middle)
        if spec.squeeze:
            self.depth_conv.add_module("se", SqueezeExcite(full.middle, full.squeezed))
        project = nn.Conv2d(full.middle, spec.out_channels, 1, bias=False)
        self.point_linear = _Part(_Nested("conv", project), spec.out_channels)

    def sliced(self, kernel: int, expand: int) -> dict[str, Tensor]:
        """The tensors of the static block that this choice makes, under the static block's names."""
        tensors = dict(self.named_parameters()) | dict(self.named_buffers())
        return slice_block(tensors, BlockSlice.of(self.spec, kernel, expand))

    def forward(self, x: Tensor, kernel: int, expand: int) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W'] with the active slice."""
        active = self.sliced(kernel, expand)
        act = F.relu if self.spec.activation == "relu" else F.hardswish
        x = act(self._norm(F.conv2d(x, active["inverted_bottleneck.conv.weight"]), active, "inverted_bottleneck"))
        x = depthwise_conv2d(x, active["depth_conv.conv.weight"], self.spec.stride)
        x = act(self._norm(x, active, "depth_conv"))
        if self.spec.squeeze:
            gate = "depth_conv.se.fc."
            pooled = x.mean((2, 3), keepdim=True)
            squeezed = F.relu(F.conv2d(pooled, active[gate + "reduce.weight"], active[gate + "reduce.bias"]))
            x = x * F.hardsigmoid(F.conv2d(squeezed, active[gate + "expand.weight"], active[gate + "expand.bias"]))
        return self._norm(F.conv2d(x, active["point_linear.conv.weight"]), active, "point_linear")

    def _norm(self, x: Tensor, active: dict[str, Tensor], part: str) -> Tensor:
        """Batch norm on the sliced statistics; in training they are updated in place through the views."""
        mean, var, weight, bias = (
            active[f"{part}.bn.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return cast(BatchNorm, getattr(self, part).bn.bn).normalise(x, weight, bias, mean, var)


class Supernet(nn.Module):
    """All subnets of a space in one set of weights.

    Example:
        >>> space = Space("tiny", 0.25, 1, 10, (2, 2, 2, 2, 1, 1), (28,))
        >>> Supernet(space)(torch.zeros(2, 1, 28, 28), space.smallest()).shape
        torch.Size([2, 10])
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        trunk = Trunk.of(space)
        self.first_conv = trunk.first_conv
        elastic = [Residual(ElasticMBConv(space, spec), spec.shortcut) for spec in space.blocks]
        self.blocks = nn.ModuleList([trunk.first_block, *elastic])
        self.final_expand_layer = trunk.final_expand_layer
        self.feature_mix_layer = trunk.feature_mix_layer
        self.classifier = trunk.classifier
        initialise(self)

    def elastic_block(self, index: int) -> ElasticMBConv:
        """The elastic block of that index (the static first block is not counted)."""
        return cast(ElasticMBConv, self.blocks[index + 1].conv)

    def forward(self, x: Tensor, subnet: Subnet, noise: Noise | None = None) -> Tensor:
        """Run one subnet in place: images [N, C, r, r] -> logits [N, classes]; `noise` regularises a training step."""
        x = self.blocks[0](self.first_conv(x))
        for stage, pairs in enumerate(subnet.stages):
            for position, (kernel, expand) in enumerate(pairs):
                block = self.elastic_block(stage * self.space.max_depth + position)
                out = block(x, kernel, expand)
                if noise and block.spec.shortcut:
                    out = noise.path(out, (block.spec.index + 1) / len(self.space.blocks))
                x = out + x if block.spec.shortcut else out
        x = self.final_expand_layer(x).mean((2, 3), keepdim=True)
        x = torch.flatten(self.feature_mix_layer(x), 1)
        return self.classifier(noise.features(x) if noise else x)  # type: ignore[no-any-return]

    def extract(self, subnet: Subnet) -> StaticNet:
        """Copy a subnet's slice of the weights into a static network, in eval mode, marked as not calibrated."""
        self.space.check(subnet)
        net = StaticNet(self.space, subnet).to(self.classifier.linear.weight.dtype)
        state = {key: value for key, value in self.state_dict().items() if not key.startswith("blocks.")}
        state |= {f"blocks.0.{key}": value for key, value in self.blocks[0].state_dict().items()}
        position_of = [
            (stage * self.space.max_depth + position, pair)
            for stage, pairs in enumerate(subnet.stages)
            for position, pair in enumerate(pairs)
        ]
        for target, (index, (kernel, expand)) in enumerate(position_of, start=1):
            for key, value in self.elastic_block(index).sliced(kernel, expand).items():
                state[f"blocks.{target}.conv.{key}"] = value
        missing, unexpected = net.load_state_dict(state, strict=False)
        if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
            raise AssertionError(f"slice rule and static layout disagree: {missing} {unexpected}")
        return net.eval()


def initialise(net: nn.Module) -> None:
    """The reference's "he_fout": convolutions N(0, 2 / (k*k*out)), BN 1 and 0, linear U(+-1/sqrt(in)), biases 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
