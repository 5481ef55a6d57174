"""The Once-For-All supernet: one set of weights, every subnet a slice of it.

No subnet is ever "active": the subnet is an argument of `forward`. Parameter names are those of the published
checkpoints. What runs for a subnet, and what becomes of it in the extracted network, is one list of steps (`plan`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.elastic import ElasticBottleneck, ElasticConv, ElasticLinear, ElasticMBConv, ElasticResidual
from ofa_edge.supernet.layers import GlobalPool
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import ConvSlice, Cut, slice_of
from ofa_edge.supernet.static import StaticNet, frame

__all__ = ["ElasticBlock", "ElasticBottleneck", "ElasticConv", "ElasticMBConv", "Step", "Supernet", "initialise"]

ElasticBlock = ElasticResidual | ElasticBottleneck


@dataclass(frozen=True)
class Step:
    """One layer of a supernet that a subnet runs.

    Attributes:
        source: its name in the supernet.
        target: its name in the extracted network.
        cut: the slice that the subnet uses; None for a layer that is not elastic.
    """

    source: str
    target: str
    cut: Cut | None = None


class Supernet(nn.Module):
    """All subnets of a space in one set of weights.

    Example:
        >>> space = Space("tiny", 0.25, 1, 10, (2, 2, 2, 2, 1, 1), (28,))
        >>> Supernet(space)(torch.zeros(2, 1, 28, 28), space.smallest()).shape
        torch.Size([2, 10])
    """

    blocks: nn.ModuleList

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        for name, module in (_resnet(space) if space.width_ratios else _mobile(space)).items():
            self.add_module(name, module)
        initialise(self)

    def plan(self, subnet: Subnet) -> Iterator[Step]:
        """What a subnet runs, in order. Blocks of the extracted network are numbered without gaps."""
        if self.space.width_ratios:
            yield from self._resnet_plan(subnet)
            return
        yield Step("first_conv", "first_conv")
        yield Step("blocks.0", "blocks.0")
        for number, block in enumerate(self.space.active_blocks(subnet), start=1):
            yield Step(self._name(block.spec.index), f"blocks.{number}", slice_of(block))
        names = [name for name, _ in self.named_children()]
        yield from (Step(name, name) for name in names[names.index("blocks") + 1 :])

    def _resnet_plan(self, subnet: Subnet) -> Iterator[Step]:
        middle, stem, *_, last = self.space.active_widths(subnet.widths)
        blocks = self.space.active_blocks(subnet)
        inside = [block for block in blocks if block.spec.kind == "conv"]
        yield Step("input_stem.0", "input_stem.0", ConvSlice(self.space.in_channels, middle))
        for block in inside:
            yield Step(self._name(block.spec.index), "input_stem.1", slice_of(block))
        yield Step("input_stem.2", f"input_stem.{1 + len(inside)}", ConvSlice(middle, stem))
        yield Step("max_pooling", "max_pooling")
        for number, block in enumerate(blocks[len(inside) :]):
            yield Step(self._name(block.spec.index), f"blocks.{number}", slice_of(block))
        yield Step("pooling", "pooling")
        yield Step("classifier", "classifier", ConvSlice(last, self.space.num_classes))

    def _name(self, index: int) -> str:
        """The module of an elastic block."""
        if self.space.width_ratios:
            return "input_stem.1" if self.space.blocks[index].kind == "conv" else f"blocks.{index - 1}"
        return f"blocks.{index + 1}"

    def residual_block(self, index: int) -> ElasticBlock:
        """The elastic block of that index, with its shortcut."""
        return cast(ElasticBlock, self.get_submodule(self._name(index)))

    def elastic_block(self, index: int) -> ElasticMBConv | ElasticBottleneck | ElasticConv:
        """The elastic weights of the block of that index (the static first block is not counted)."""
        block = self.residual_block(index)
        return block.conv if isinstance(block, ElasticResidual) else block

    def residual_norms(self) -> list[BatchNorm]:
        """The batch norms that end the branches beside shortcuts: with scales of 0 those blocks are identities."""
        blocks = (self.residual_block(spec.index) for spec in self.space.blocks if spec.shortcut)
        return [block.last_norm for block in blocks]

    def forward(self, x: Tensor, subnet: Subnet, noise: Noise | None = None) -> Tensor:
        """Run one subnet in place: images [N, C, r, r] -> logits [N, classes]; `noise` regularises a training step."""
        for step in self.plan(subnet):
            layer = self.get_submodule(step.source)
            if step.source == "classifier":
                x = torch.flatten(x, 1)
                x = noise.features(x) if noise else x
            if step.cut is None:
                x = layer(x)
            elif noise and isinstance(layer, ElasticBlock):
                depth = (layer.spec.index + 1) / len(self.space.blocks)
                x = layer(x, step.cut, partial(noise.path, depth=depth))
            else:
                x = layer(x, step.cut)
        return x

    def extract(self, subnet: Subnet) -> StaticNet:
        """Copy a subnet's slice of the weights into a static network, in eval mode, marked as not calibrated."""
        self.space.check(subnet)
        net = StaticNet(self.space, subnet).to(next(self.parameters()).dtype)
        state: dict[str, Tensor] = {}
        for step in self.plan(subnet):
            layer = self.get_submodule(step.source)
            tensors = layer.state_dict() if step.cut is None else layer.sliced(step.cut)  # type: ignore[operator]
            state |= {f"{step.target}.{key}": value for key, value in tensors.items()}
        missing, unexpected = net.load_state_dict(state, strict=False)
        if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
            raise AssertionError(f"slice rule and static layout disagree: {missing} {unexpected}")
        return net.eval()


def _mobile(space: Space) -> dict[str, nn.Module]:
    before, first_block, behind = frame(space)
    elastic = [ElasticResidual(ElasticMBConv(spec, space.expands[-1]), spec) for spec in space.blocks]
    return {**before, "blocks": nn.ModuleList([first_block, *elastic]), **behind}


def _resnet(space: Space) -> dict[str, nn.Module]:
    middle, stem, *_, last = space.widths
    act, eps = space.shape.stem_activation, space.shape.bn_eps
    inside, *specs = space.blocks
    optional = ElasticConv(middle, middle, 3, act=act, bn_eps=eps)
    return {
        "input_stem": nn.ModuleList(
            [
                ElasticConv(space.in_channels, middle, 3, space.strides[0], act=act, bn_eps=eps),
                ElasticResidual(optional, inside),
                ElasticConv(middle, stem, 3, act=act, bn_eps=eps),
            ]
        ),
        "max_pooling": nn.MaxPool2d(3, space.strides[1], 1),
        "blocks": nn.ModuleList(ElasticBottleneck(spec, space.expands[-1]) for spec in specs),
        "pooling": GlobalPool(),
        "classifier": ElasticLinear(last, space.num_classes),
    }


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
