"""What holds for the supernet of every family. Numbers of the reference stand in tests/reference."""

import itertools

import numpy as np
import pytest
import torch
from shaken import shake
from torch import nn

from ofa_edge import cost
from ofa_edge.space import BlockSpec, Space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.elastic import ElasticConv, ElasticMBConv
from ofa_edge.supernet.layers import MBConv
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.slicing import BlockSlice, ConvSlice
from ofa_edge.supernet.sorting import sort_channels

SPACES = {
    "mobilenetv3": Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 28)),
    "proxyless": Space.of(
        "ofa_proxyless",
        "tiny",
        width_mult=0.25,
        in_channels=1,
        num_classes=10,
        strides=(1, 2, 2, 2, 1, 1, 1),
        resolutions=(20, 28),
    ),
    "resnet": Space.of(
        "ofa_resnet",
        "tiny",
        width_mult=0.25,
        in_channels=1,
        num_classes=10,
        strides=(1, 2, 1, 2, 2, 1),
        resolutions=(20, 28),
    ),
}
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=list(SPACES))
def supernet(request):
    """A supernet in float64 with nothing at its initial value: running statistics, scales and matrices included."""
    torch.manual_seed(0)
    net = Supernet(SPACES[request.param]).double().eval()
    shake(net, spread=0.3)
    return net


@pytest.fixture
def images():
    return torch.randn(3, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def some_subnets(space, count=8):
    rows = space.sample(np.random.default_rng(0), count, space.resolutions[-1])
    return [space.largest(), space.smallest(space.resolutions[-1]), *map(space.subnet, rows)]


def test_in_place_extracted_and_counted_agree(supernet, images):
    for subnet in some_subnets(supernet.space):
        static = supernet.extract(subnet)
        with torch.no_grad():
            torch.testing.assert_close(static(images), supernet(images, subnet), **EXACT)
        assert sum(parameter.numel() for parameter in static.parameters()) == cost.params(supernet.space, subnet)
        assert not static.calibrated


def test_macs_are_those_of_the_layers_that_run(supernet):
    for subnet in some_subnets(supernet.space, 4):
        for size in supernet.space.resolutions:
            total = 0

            def hook(module, _, output):
                nonlocal total
                total += module.weight[0].numel() * output[0].numel()

            static = supernet.extract(subnet)
            for module in static.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    module.register_forward_hook(hook)
            with torch.no_grad():
                static(torch.zeros(1, 1, size, size, dtype=torch.float64))
            assert total == cost.macs(supernet.space, subnet.at(size))


def test_a_subnet_trains_its_own_slice_only(supernet, images):
    supernet.train()
    subnet = supernet.space.smallest(28)
    supernet(images, subnet).square().sum().backward()
    used = sum(int((each.grad != 0).sum()) for each in supernet.parameters() if each.grad is not None)
    matrices = sum(p.numel() for name, p in supernet.named_parameters() if "matrix" in name and p.grad is not None)
    assert 0.8 * cost.params(supernet.space, subnet) < used <= cost.params(supernet.space, subnet) + matrices * 2


@pytest.mark.parametrize("groups", [0, 2, 3])
def test_sorting_keeps_the_full_network_and_the_finished_ones(supernet, images, groups):
    space = supernet.space
    finished = space.expands[-groups:] if groups else ()
    # The gates' own middle is sorted as a whole, so that with gates only the full network stays as it was.
    expands = space.expands[-1:] if any(spec.squeeze for spec in space.blocks) else (*finished, space.expands[-1])
    kept = [space.uniform(space.kernels[-1], expand, space.depths[-1]) for expand in expands]
    with torch.no_grad():
        before = [supernet(images, subnet) for subnet in kept]
        sort_channels(supernet, finished)
        for subnet, wanted in zip(kept, before, strict=True):
            torch.testing.assert_close(supernet(images, subnet), wanted, **EXACT)


def test_sorting_puts_the_important_channels_first(supernet):
    sort_channels(supernet)
    for spec in supernet.space.blocks:
        block = supernet.elastic_block(spec.index)
        if spec.kind == "conv":
            continue
        readers = [block.conv3, block.conv2] if spec.kind == "bottleneck" else [block.point_linear]
        for reader in readers:
            importance = reader.conv.conv.weight.abs().sum((0, 2, 3))
            assert (importance.diff() <= 1e-12).all()


def test_calibration_of_the_extracted_network(supernet, images):
    net = recalibrate_bn(supernet.extract(some_subnets(supernet.space)[3]), [images, images + 1])
    with torch.no_grad():
        first = net.get_submodule("input_stem.0" if supernet.space.width_ratios else "first_conv")
        x = first.conv(images)
        y = first.conv(images + 1)
    torch.testing.assert_close(first.bn.running_mean, (x.mean((0, 2, 3)) + y.mean((0, 2, 3))) / 2)
    assert net.calibrated


def test_drop_path_works_on_residual_branches_only(supernet, images):
    """All branches dropped: what is left is what the blocks without a shortcut of their own compute."""
    supernet.train()
    subnet = supernet.space.largest()
    blocks = [supernet.residual_block(spec.index) for spec in supernet.space.blocks]
    seen = []
    for block in blocks:
        block.register_forward_hook(lambda layer, args, out: seen.append((layer.spec, args[0], out)))
    noise = Noise(0, 0.0, 0.0, 3, slice(None))
    noise.path = lambda x, depth: torch.zeros_like(x)
    supernet(images, subnet, noise)
    assert len(seen) == len(blocks)
    for spec, x, out in seen:
        assert torch.equal(out, x.relu() if spec.kind == "bottleneck" else x) == spec.shortcut


def test_zero_scales_of_the_residual_norms_make_identities(supernet, images):
    for norm in supernet.residual_norms():
        norm.weight.data.zero_()
        norm.bias.data.zero_()
    space = supernet.space
    shallow, deep = (space.uniform(space.kernels[0], space.expands[0], depth) for depth in (space.depths[-2:]))
    with torch.no_grad():
        torch.testing.assert_close(supernet(images, deep), supernet(images, shallow), **EXACT)


def test_restricted_spaces_hold_subnets_of_the_whole(supernet):
    space = supernet.space
    part = space.restricted(expands=space.expands[-1:], depths=space.depths[1:], width_ratios=space.width_ratios[:1])
    for row in part.sample(np.random.default_rng(0), 20):
        subnet = space.check(part.subnet(row))
        assert {expand for stage in subnet.stages for _, expand in stage} <= {1, space.expands[-1]}
        assert not any(before < after for before, after in itertools.pairwise(subnet.widths))
    assert part.restricted(depths=part.depths[-1:]).largest().stages == space.largest().stages


def test_elastic_layers_alone():
    spec = BlockSpec(0, 0, 0, in_channels=16, out_channels=24, stride=2, activation="relu6")
    block, cut = ElasticMBConv(spec, largest_expand=6).eval(), BlockSlice.of(spec, kernel=5, expand=4)
    static = MBConv(spec, cut).eval()
    static.load_state_dict(block.sliced(cut), strict=False)
    x = torch.randn(2, 16, 9, 9)
    torch.testing.assert_close(block(x, cut), static(x))
    conv = ElasticConv(8, 16, 3, act="relu").eval()
    assert conv(torch.zeros(1, 4, 5, 5), ConvSlice(4, 12)).shape == (1, 12, 5, 5)
