"""The static network of one subnet: ordinary torch modules, in the published layout of extracted networks."""

from torch import Tensor, nn

from ofa_edge.space import ActiveBlock, Space, Subnet
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


def frame(space: Space) -> tuple[dict[str, nn.Module], Residual, dict[str, nn.Module]]:
    """The layers that no subnet of an MBConv family changes.

    Returns:
        What stands before the blocks, the static first block, and what stands behind them: modules by name.
    """
    shape, widths, eps = space.shape, space.widths, space.shape.bn_eps
    stem, static = widths[:2]
    first_conv = ConvBN(space.in_channels, stem, 3, space.strides[0], act=shape.stem_activation, bn_eps=eps)
    conv = StemConv(stem, static, shape.static_activation, eps)
    first_block = Residual(conv, shape.static_shortcut and stem == static)
    before, *head = widths[2 + space.num_stages - 1 :]
    widening = ConvBN(before, head[0], act=shape.head_activation, bn_eps=eps)
    behind: dict[str, nn.Module]
    if len(head) == 2:
        mix = FeatureMix(*head)
        behind = {"final_expand_layer": widening, "pooling": GlobalPool(), "feature_mix_layer": mix}
    else:
        behind = {"feature_mix_layer": widening, "pooling": GlobalPool()}
    return {"first_conv": first_conv}, first_block, {**behind, "classifier": Classifier(head[-1], space.num_classes)}


class StaticNet(nn.Module):
    """One subnet as a plain network. Its children run in order, those in a list one by one.

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
        children = _resnet(space, subnet) if space.width_ratios else _mobile(space, subnet)
        for name, module in children.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, C, r, r] -> logits [N, classes]."""
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else (child,):
                x = layer(x)
        return x


def _mobile(space: Space, subnet: Subnet) -> dict[str, nn.Module]:
    before, first_block, behind = frame(space)
    blocks = [Residual(MBConv(each.spec, _cut(each)), each.spec.shortcut) for each in space.active_blocks(subnet)]
    return {**before, "blocks": nn.ModuleList([first_block, *blocks]), **behind}


def _resnet(space: Space, subnet: Subnet) -> dict[str, nn.Module]:
    middle, stem, *_, last = space.active_widths(subnet.widths)
    act, eps = space.shape.stem_activation, space.shape.bn_eps
    inside, blocks = [], []
    for each in space.active_blocks(subnet):
        if each.spec.kind == "conv":
            inside.append(Residual(ConvBN(middle, middle, each.kernel, act=act, bn_eps=eps), shortcut=True))
        else:
            blocks.append(Bottleneck(each.spec, _cut(each)))
    first = ConvBN(space.in_channels, middle, 3, space.strides[0], act=act, bn_eps=eps)
    return {
        "input_stem": nn.ModuleList([first, *inside, ConvBN(middle, stem, 3, act=act, bn_eps=eps)]),
        "max_pooling": nn.MaxPool2d(3, space.strides[1], 1),
        "blocks": nn.ModuleList(blocks),
        "pooling": GlobalPool(),
        "classifier": Classifier(last, space.num_classes),
    }


def _cut(block: ActiveBlock) -> BlockSlice:
    return BlockSlice.of(block.spec, block.kernel, block.expand)
