"""Channel sorting: put the middle channels that matter most first, so that narrower subnets keep them.

Once-For-All, section 3.3, "elastic width": the importance of a channel is the L1 norm of the weights that read it.
Nothing that the full block computes changes. Widths between blocks are not sorted (nor are they in the reference).
"""

import itertools

import torch
from torch import Tensor, nn

from ofa_edge.space import BlockSpec
from ofa_edge.supernet.elastic import ElasticBottleneck, ElasticConv, ElasticDepthwise, ElasticMBConv
from ofa_edge.supernet.network import Supernet


def sort_channels(supernet: Supernet, finished: tuple[float, ...] = ()) -> None:
    """Sort the middle channels of every elastic block by importance, in place.

    Args:
        supernet: the network to sort.
        finished: expand ratios already trained. Their boundaries are kept: channels are sorted within the groups that
            they cut, never across. Empty: one sort over all channels. (The reference's stage n is the n + 1 largest
            ratios, but for its stage 0, which is the empty tuple.)

    The middle of a squeeze-and-excite gate is sorted as a whole, as in the reference: a finished subnet whose gate is
    narrower than the full one changes.
    """
    with torch.no_grad():
        for spec in supernet.space.blocks:
            block = supernet.elastic_block(spec.index)
            own = supernet.space.code.expands[spec.index]
            bounds = _bounds(spec, (*(ratio for ratio in finished if ratio in own), own[-1]))
            if isinstance(block, ElasticMBConv):
                _sort_mbconv(block, bounds)
            elif isinstance(block, ElasticBottleneck):
                _sort_bottleneck(block, bounds)


def _bounds(spec: BlockSpec, expands: tuple[float, ...]) -> list[int]:
    return sorted({0, *(spec.middle(expand) for expand in expands)})


def _sort_mbconv(block: ElasticMBConv, bounds: list[int]) -> None:
    depthwise = block.depth_conv
    order = _order(_weight(block.point_linear), bounds)
    _permute(order, [_weight(block.point_linear)], dim=1)
    _permute(order, [depthwise.conv.conv.weight, *_statistics(depthwise), *_outputs(block.inverted_bottleneck)], dim=0)
    if block.spec.squeeze:
        reduce, expand = depthwise.se.fc["reduce"], depthwise.se.fc["expand"]
        assert isinstance(reduce, nn.Conv2d)
        assert isinstance(expand, nn.Conv2d)
        assert reduce.bias is not None
        assert expand.bias is not None
        _permute(order, [expand.weight, expand.bias], dim=0)
        _permute(order, [reduce.weight], dim=1)
        inside = _order(expand.weight, [0, expand.in_channels])
        _permute(inside, [reduce.weight, reduce.bias], dim=0)
        _permute(inside, [expand.weight], dim=1)


def _sort_bottleneck(block: ElasticBottleneck, bounds: list[int]) -> None:
    """First what the last convolution reads of the 3x3 one, then what that one reads of the first."""
    for writer, reader in ((block.conv2, block.conv3), (block.conv1, block.conv2)):
        order = _order(_weight(reader), bounds)
        _permute(order, [_weight(reader)], dim=1)
        _permute(order, _outputs(writer), dim=0)


def _order(weight: Tensor, bounds: list[int]) -> Tensor:
    """Input channels of a weight [out, in, k, k], the most important first within each group."""
    importance = weight.abs().sum((0, 2, 3))
    groups = [
        start + importance[start:stop].argsort(descending=True, stable=True)
        for start, stop in itertools.pairwise(bounds)
    ]
    return torch.cat(groups)


def _weight(layer: ElasticConv) -> Tensor:
    return layer.conv.conv.weight


def _outputs(layer: ElasticConv) -> list[Tensor]:
    return [_weight(layer), *_statistics(layer)]


def _statistics(layer: ElasticConv | ElasticDepthwise) -> list[Tensor]:
    norm = layer.bn.bn
    return [norm.get_parameter(name) for name in ("weight", "bias")] + [
        norm.get_buffer(name) for name in ("running_mean", "running_var")
    ]


def _permute(order: Tensor, tensors: list[Tensor], dim: int) -> None:
    for tensor in tensors:
        tensor.copy_(tensor.index_select(dim, order))
