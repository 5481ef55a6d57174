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

from ofa_edge.space import CLASSIFIER, ActiveBlock, Place, Space, Subnet, layout
from ofa_edge.supernet.elastic import ElasticBottleneck, ElasticConv, ElasticLinear, ElasticMBConv, ElasticResidual
from ofa_edge.supernet.modules import children, elastic_module
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.normalise import BatchNorm
from ofa_edge.supernet.slicing import ConvSlice, Cut, slice_of
from ofa_edge.supernet.static import StaticNet, require_images

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

    Attributes:
        block_names: the modules of the elastic blocks, in order.
        own_head: the ridge of a head that each subnet gets in closed form when it is calibrated; None where all have
            the one that is trained. `forward` goes by the one that is trained.

    Example:
        >>> space = Space("tiny", 0.25, 1, 10, (2, 2, 2, 2, 1, 1), (28,))
        >>> Supernet(space)(torch.zeros(2, 1, 28, 28), space.smallest()).shape
        torch.Size([2, 10])
    """

    blocks: nn.ModuleList

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.own_head: float | None = None
        full = space.largest()
        for name, module in children(space, full, partial(elastic_module, widths=bool(space.width_ratios))).items():
            self.add_module(name, module)
        self.block_names = tuple(place.source for place in layout(space, full) if place.role == "block")
        initialise(self)

    def plan(self, subnet: Subnet) -> Iterator[Step]:
        """What a subnet runs, in order. Lists of the extracted network are numbered without gaps."""
        for place in layout(self.space, subnet):
            yield Step(place.source, place.target, self._cut(place))

    def _cut(self, place: Place) -> Cut | None:
        if isinstance(place.part, ActiveBlock):
            return slice_of(place.part)
        if isinstance(self.get_submodule(place.source), ElasticConv | ElasticLinear):
            return ConvSlice(place.part.in_channels, place.part.out_channels)
        return None

    def residual_block(self, index: int) -> ElasticBlock:
        """The elastic block of that index, with its shortcut."""
        return cast(ElasticBlock, self.get_submodule(self.block_names[index]))

    def elastic_block(self, index: int) -> ElasticMBConv | ElasticBottleneck | ElasticConv:
        """The elastic weights of the block of that index (the static first block is not counted)."""
        block = self.residual_block(index)
        return block.conv if isinstance(block, ElasticResidual) else block

    def residual_norms(self) -> list[BatchNorm]:
        """The batch norms that end the branches beside shortcuts: with scales of 0 those blocks are identities."""
        blocks = (self.residual_block(spec.index) for spec in self.space.blocks if spec.shortcut)
        return [block.last_norm for block in blocks]

    def forward(self, x: Tensor, subnet: Subnet, noise: Noise | None = None) -> Tensor:
        """Run one subnet in place: images [N, C, r, r] -> logits [N, classes]; `noise` regularises a training step.

        Raises:
            ConfigError: the subnet is not of this space, or the images are not of its resolution.
        """
        require_images(x, self.space, self.space.check(subnet))
        for step in self.plan(subnet):
            layer = self.get_submodule(step.source)
            if step.source == CLASSIFIER:
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
        """Copy a subnet's slice of the weights into a static network, in eval mode, marked as not calibrated.

        Raises:
            ConfigError: the subnet is not of this space.
        """
        net = StaticNet(self.space, subnet).to(next(self.parameters()).dtype)
        state: dict[str, Tensor] = {}
        for step in self.plan(subnet):
            layer = self.get_submodule(step.source)
            tensors = layer.state_dict() if step.cut is None else layer.sliced(step.cut)  # type: ignore[operator]  # an elastic layer
            state |= {f"{step.target}.{key}": value for key, value in tensors.items()}
        missing, unexpected = net.load_state_dict(state, strict=False)
        if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
            raise AssertionError(f"slice rule and static layout disagree: {missing} {unexpected}")
        net.own_head = self.own_head
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
