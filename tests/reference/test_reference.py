"""Numbers of the reference package and ours, side by side. Skipped where it is not installed."""

import copy
import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from families import PUBLISHED, SPACES, Twins, reference_net

from ofa_edge import cost
from ofa_edge.space import Space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.network import Supernet, initialise
from ofa_edge.supernet.sorting import sort_channels

FAMILIES = list(SPACES)
ODD = (132, 148, 156)  # sizes whose maps are odd somewhere
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def twins(ofa: SimpleNamespace, family: str) -> Twins:
    random.seed(1)
    return Twins.of(ofa, SPACES[family])


def images_of(size: int) -> torch.Tensor:
    return torch.randn(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def images() -> torch.Tensor:
    return images_of(64)


def same_tensors(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Equal tensors under equal names, in equal order. Counts of batches are not copied by either extraction."""
    first, second = ours.state_dict(), torch.nn.Module.state_dict(theirs)
    assert list(first) == list(second)
    for name, value in first.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, second[name], msg=name, **EXACT)


@pytest.mark.parametrize(("size", "subnets"), [(64, 6), *((size, 2) for size in ODD)])
def test_forward_and_extraction(twins: Twins, size: int, subnets: int) -> None:
    images = images_of(size)
    for _ in range(subnets):
        subnet = twins.sample(size)
        with torch.no_grad():
            wanted = twins.theirs(images)
            static = twins.ours.extract(subnet)
            torch.testing.assert_close(twins.ours(images, subnet), wanted, **EXACT)
            torch.testing.assert_close(static(images), wanted, **EXACT)
        same_tensors(static, twins.extracted())


def test_the_published_size(ofa: SimpleNamespace, family: str) -> None:
    space = PUBLISHED[family]
    ours, theirs = Supernet(space), reference_net(ofa, space)
    wanted = {name: value.shape for name, value in torch.nn.Module.state_dict(theirs).items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == wanted


def test_gradients(twins: Twins, images: torch.Tensor) -> None:
    subnet = twins.sample()
    for net in (twins.theirs, twins.ours):
        (net(images) if net is twins.theirs else net(images, subnet)).square().sum().backward()
    theirs = dict(twins.theirs.named_parameters())
    compared = 0
    for name, parameter in twins.ours.named_parameters():
        assert (parameter.grad is None) == (theirs[name].grad is None), name
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, theirs[name].grad, msg=name, rtol=1e-8, atol=1e-8)
            compared += 1
    assert compared > 50


def test_a_training_step_moves_the_same_statistics(twins: Twins, images: torch.Tensor) -> None:
    twins.theirs.train()
    twins.ours.train()
    for _ in range(3):
        subnet = twins.sample()
        torch.testing.assert_close(twins.ours(images, subnet), twins.theirs(images), **EXACT)
    wanted = torch.nn.Module.state_dict(twins.theirs)
    for name, value in twins.ours.state_dict().items():
        torch.testing.assert_close(value, wanted[name], msg=name, **EXACT)


@pytest.mark.parametrize("size", [64, *ODD])
def test_calibration(ofa: SimpleNamespace, twins: Twins, size: int) -> None:
    images = images_of(size)
    batches = [images, images[:2] * 2 + 1, images[1:] - 1]
    subnet = twins.sample(size)
    ours = recalibrate_bn(twins.ours.extract(subnet), batches)
    extracted = twins.extracted()
    ofa.set_running_statistics(extracted, [(batch, None) for batch in batches])
    same_tensors(ours, extracted)
    ofa.set_running_statistics(twins.theirs, [(batch, None) for batch in batches])  # in place
    same_tensors(ours, twins.extracted())


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_sorting(twins: Twins, images: torch.Tensor, stage: int) -> None:
    """In float64 the reference's shift between groups costs no precision, so the order is the same to the last one."""
    largest = twins.space.largest(64)
    with torch.no_grad():
        before = twins.ours(images, largest)
        twins.theirs.re_organize_middle_weights(expand_ratio_stage=stage)
        sort_channels(twins.ours, twins.space.expands[-1 - stage :] if stage else ())
        torch.testing.assert_close(twins.ours(images, largest), before, **EXACT)
    same_tensors(twins.ours, twins.theirs)


@pytest.mark.parametrize("stage", [1, 2])
def test_sorting_in_single_precision(twins: Twins, stage: int) -> None:
    """There its shift makes close importances tie: the groups are the same sets, the order agrees up to 0.02."""
    ours, theirs = copy.deepcopy(twins.ours).float(), copy.deepcopy(twins.theirs).float()
    theirs.re_organize_middle_weights(expand_ratio_stage=stage)
    expands = twins.space.expands[-1 - stage :]
    sort_channels(ours, expands)
    name = "conv3.conv.conv.weight" if twins.space.family == "ofa_resnet" else "point_linear.conv.conv.weight"
    for spec in twins.space.blocks:
        if spec.kind == "conv":
            continue
        module = ours.block_names[spec.index] + ("" if spec.kind == "bottleneck" else ".conv")
        first, second = (net.get_submodule(module).get_parameter(name).abs().sum((0, 2, 3)) for net in (ours, theirs))
        torch.testing.assert_close(first, second, rtol=0, atol=0.02)
        bounds = sorted({0, *(spec.middle(expand) for expand in expands)})
        for start, stop in itertools.pairwise(bounds):
            torch.testing.assert_close(first[start:stop].sort().values, second[start:stop].sort().values)


def test_cost(ofa: SimpleNamespace, twins: Twins) -> None:
    for size in (64, 96, *ODD):
        subnet = twins.sample(size)
        macs, params = ofa.profile(twins.extracted().float(), (1, 3, size, size))
        assert cost.macs(twins.space, subnet) == pytest.approx(macs, rel=1e-6)  # it adds up in single precision
        assert cost.params(twins.space, subnet) == params


def test_initialisation(ofa: SimpleNamespace, family: str) -> None:
    space = SPACES[family]
    theirs = reference_net(ofa, space)
    torch.manual_seed(3)
    ofa.init_models(theirs)
    ours = Supernet(space)
    torch.manual_seed(3)
    initialise(ours)
    wanted = torch.nn.Module.state_dict(theirs)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def frequencies(space: Space, genomes: np.ndarray) -> np.ndarray:
    """Share of each value in each column of canonical genomes: [columns, values]."""
    return np.stack([(genomes == value).mean(0) for value in range(space.code.sizes.max())], axis=1)


def test_samplers(ofa: SimpleNamespace, family: str) -> None:
    space, count = SPACES[family], 4000
    net = reference_net(ofa, space)
    random.seed(4)
    theirs = space.genome(space.from_config(net.sample_active_subnet()) for _ in range(count))
    ours = space.sample(np.random.default_rng(4), count, space.resolutions[-1])
    difference = frequencies(space, theirs) - frequencies(space, ours)
    assert np.abs(difference).max() < 5 * np.sqrt(0.5 / count)


def test_constrained_samplers(ofa: SimpleNamespace, family: str) -> None:
    if family == "ofa_resnet":
        pytest.skip("the reference's has no constraints")
    space, count = SPACES[family], 2000
    net = reference_net(ofa, space)
    for values, kind in (([3, 4], "depth"), ([4, 6], "expand_ratio"), ([5, 7], "kernel_size")):
        net.set_constraint(values, kind)
    random.seed(5)
    theirs = space.genome(space.from_config(net.sample_active_subnet()) for _ in range(count))
    part = space.restricted(depths=(3, 4), expands=(4, 6), kernels=(5, 7))
    rows = part.sample(np.random.default_rng(5), count, space.resolutions[-1])
    ours = space.genome(space.check(part.subnet(row)) for row in rows)
    assert np.abs(frequencies(space, theirs) - frequencies(space, ours)).max() < 5 * np.sqrt(0.5 / count)
