"""Channel sorting: put the middle channels that matter most first, so that narrower subnets keep them.

Once-For-All, section 3.3, "elastic width": importance is the L1 norm of the projection's weights over each channel.
Nothing that the full block computes changes.
"""

import itertools

import torch
from torch import Tensor

from ofa_edge.space import Space, middle_width
from ofa_edge.supernet.network import ElasticMBConv, Supernet


def sort_channels(supernet: Supernet, finished: tuple[int, ...] = ()) -> None:
    """Sort the middle channels of every elastic block by importance, in place.

    Args:
        supernet: the network to sort.
        finished: expand ratios already trained. Their boundaries are kept: channels are sorted within the groups that
            they cut, never across. Empty: one sort over all channels.
    """
    with torch.no_grad():
        for spec in supernet.space.blocks:
            block = supernet.elastic_block(spec.index)
            project = block.get_parameter("point_linear.conv.conv.weight")
            importance = project.abs().sum((0, 2, 3))
            _permute_middle(block, _grouped_order(importance, _bounds(supernet.space, spec.in_channels, finished)))
            if spec.squeeze:
                gate = block.get_parameter("depth_conv.se.fc.expand.weight")
                _permute_squeezed(block, gate.abs().sum((0, 2, 3)).argsort(descending=True, stable=True))


def _bounds(space: Space, in_channels: int, finished: tuple[int, ...]) -> list[int]:
    widths = {middle_width(in_channels, expand) for expand in finished}
    return sorted({0, *widths, middle_width(in_channels, space.expands[-1])})


def _grouped_order(importance: Tensor, bounds: list[int]) -> Tensor:
    groups = [
        start + importance[start:stop].argsort(descending=True, stable=True)
        for start, stop in itertools.pairwise(bounds)
    ]
    return torch.cat(groups)


def _permute_middle(block: ElasticMBConv, order: Tensor) -> None:
    state = block.state_dict()
    for key, value in state.items():
        if key in {"point_linear.conv.conv.weight", "depth_conv.se.fc.reduce.weight"}:
            value.copy_(value[:, order])
        elif key.startswith("point_linear") or key.endswith(("_matrix", "num_batches_tracked", "fc.reduce.bias")):
            continue
        else:
            value.copy_(value[order])


def _permute_squeezed(block: ElasticMBConv, order: Tensor) -> None:
    state = block.state_dict()
    gate = "depth_conv.se.fc."
    for key in (gate + "reduce.weight", gate + "reduce.bias"):
        state[key].copy_(state[key][order])
    state[gate + "expand.weight"].copy_(state[gate + "expand.weight"][:, order])
