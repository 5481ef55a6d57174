"""Models that are timed: ranges as a trained network has them, however deep the network is."""

import torch

from ofa_edge.space import Space
from ofa_edge.workflows.calibrate.unit_models import Piece, module_of

SPACE = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (28,))


def test_activations_keep_their_size_through_the_deepest_subnet() -> None:
    """Int8 additions of scales that are too far apart have no fast kernel, and their times would be others."""
    net, shape = module_of(SPACE, Piece(SPACE.largest(), "whole"))
    largest: list[float] = []
    for block in net.get_submodule("blocks"):
        block.register_forward_hook(lambda module, given, made: largest.append(float(made.abs().max())))
    with torch.no_grad():
        net(torch.randn(shape))
    assert len(largest) == 21
    assert 1 < min(largest) <= max(largest) < 20


def test_a_block_by_itself_is_made_as_it_is_inside() -> None:
    net, shape = module_of(SPACE, Piece(SPACE.largest(), 3))
    with torch.no_grad():
        made = net(torch.randn(shape))
    assert 1 < float(made.abs().max()) < 40
