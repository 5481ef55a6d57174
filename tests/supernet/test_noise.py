"""Dropout and drop-path: rates, scaling, and the same masks over any number of processes."""

import pytest
import torch

from ofa_edge.space import Space
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.noise import Noise


def noise(seed=0, dropout=0.0, drop_path=0.0, batch=400, rows=slice(None)):
    return Noise(seed, dropout, drop_path, batch, rows)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_features_are_dropped_at_the_rate_and_scaled(rate):
    x = torch.ones(400, 100)
    out = noise(dropout=rate).features(x)
    kept = out != 0
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=0.01)  # 40,000 draws: 0.0025 is one sigma
    assert torch.allclose(out[kept], torch.tensor(1 / (1 - rate)))
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("depth", [0.25, 1.0])
def test_paths_are_dropped_by_image_and_more_often_when_deep(depth):
    x = torch.rand(400, 3, 2, 2) + 1
    masks = [noise(seed, drop_path=0.4).path(x, depth) / x for seed in range(20)]
    assert all(torch.equal(mask, mask[:, :1, :1, :1].expand_as(mask).contiguous()) for mask in ((m > 0) for m in masks))
    dropped = torch.stack([mask[:, 0, 0, 0] == 0 for mask in masks]).float().mean().item()
    assert dropped == pytest.approx(0.4 * depth, abs=0.03)
    assert masks[0].max().item() == pytest.approx(1 / (1 - 0.4 * depth))


def test_no_rate_is_no_change():
    x = torch.rand(400, 8)
    assert noise().features(x) is x
    assert noise().path(x, 1.0) is x


def test_rows_of_a_whole_batch():
    """Each process draws for all and keeps its rows."""
    x = torch.rand(12, 7)
    maps = torch.rand(12, 2, 3, 3)
    whole = noise(3, 0.5, 0.5, 12)
    wanted = [whole.features(x), whole.path(maps, 0.7), whole.path(maps, 1.0)]
    for rows in (slice(0, 4), slice(4, 8), slice(8, 12)):
        part = noise(3, 0.5, 0.5, 12, rows)
        got = [part.features(x[rows]), part.path(maps[rows], 0.7), part.path(maps[rows], 1.0)]
        for one, other in zip(got, wanted, strict=True):
            assert torch.equal(one, other[rows])


def test_seeds_and_calls_differ():
    x = torch.ones(400, 5)
    first = noise(1, 0.5)
    one, two = first.features(x), first.features(x)
    assert not torch.equal(one, two)
    assert torch.equal(one, noise(1, 0.5).features(x))
    assert not torch.equal(one, noise(2, 0.5).features(x))


def test_in_the_network():
    """Drop-path turns residual blocks off for an image: with all dropped the net is the shortcuts alone."""
    space = Space("tiny", 0.1, 1, 3, (2, 2, 2, 1, 1, 1), (16,), depths=(1, 2))
    torch.manual_seed(0)
    net = Supernet(space).eval()
    x = torch.rand(4, 1, 16, 16)
    subnet = space.largest()
    plain = net(x, subnet)
    assert torch.equal(plain, net(x, subnet, noise(batch=4)))
    assert not torch.equal(plain, net(x, subnet, noise(batch=4, dropout=0.5)))
    nearly = net(x, subnet, noise(batch=4, drop_path=1 - 1e-9))  # the last residual block drops everywhere
    last = net.elastic_block(space.blocks[-1].index)
    assert last.spec.shortcut
    with torch.no_grad():
        last.get_parameter("point_linear.bn.bn.weight").zero_()
        last.get_parameter("point_linear.bn.bn.bias").zero_()
    assert torch.equal(nearly, net(x, subnet, noise(batch=4, drop_path=1 - 1e-9)))
