"""The supernet beside the same networks in plain functions, at sizes with maps of odd sizes."""

import random

import pytest
import torch
from families import RATIOS, SPACES
from plain_forward import mobile, resnet
from shaken import shake
from torch import Tensor

from ofa_edge import cost
from ofa_edge.errors import ConfigError
from ofa_edge.supernet.network import Supernet

SIZES = (132, 148, 156)
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(scope="module", params=SPACES)
def net(request: pytest.FixtureRequest) -> Supernet:
    torch.manual_seed(0)
    net = Supernet(SPACES[request.param]).double().eval()
    shake(net)
    return net


def draw(family: str, rng: random.Random) -> dict[str, list[float]]:
    """A configuration in the reference's form, an entry for every block of the supernet."""
    if family == "ofa_resnet":
        d = [rng.choice((0, 2)), *rng.choices((0, 1, 2), k=4)]
        return {"d": d, "e": rng.choices(RATIOS, k=18), "w": rng.choices((0, 1, 2), k=6)}
    blocks, d = (20, 5) if family == "ofa_mobilenetv3" else (21, 5)
    depths = rng.choices((2, 3, 4), k=d) + ([] if d == 5 and blocks == 20 else [1])
    return {"ks": rng.choices((3, 5, 7), k=blocks), "e": rng.choices((3, 4, 6), k=blocks), "d": depths}


def plain(net: Supernet, images: Tensor, config: dict[str, list[float]]) -> Tensor:
    state = net.state_dict()
    if net.space.family == "ofa_resnet":
        return resnet(images, state, config, net.space.width_ratios)
    return mobile(images, state, net.space.family, config)


@pytest.mark.parametrize("size", SIZES)
def test_in_place_and_extracted(net: Supernet, size: int) -> None:
    images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    rng = random.Random(size)
    for _ in range(2):
        config = draw(net.space.family, rng)
        subnet = net.space.from_config({**config, "r": size})
        with torch.no_grad():
            wanted = plain(net, images, config)
            assert wanted.std() > 1e-3
            torch.testing.assert_close(net(images, subnet), wanted, **EXACT)
            torch.testing.assert_close(net.extract(subnet)(images), wanted, **EXACT)


@pytest.mark.parametrize("size", SIZES)
def test_macs_are_those_that_run(net: Supernet, size: int) -> None:
    subnet = net.space.from_config({**draw(net.space.family, random.Random(size)), "r": size})
    static, total = net.extract(subnet), 0

    def count(module: torch.nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += module.weight[0].numel() * output[0].numel()

    for module in static.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        static(torch.zeros(1, 3, size, size, dtype=torch.float64))
    assert total == cost.macs(net.space, subnet)
    assert total == cost.macs_table(net.space)(net.space.genome([subnet]))[0, 0]


def test_images_of_another_size_are_refused(net: Supernet) -> None:
    subnet = net.space.smallest(132)
    for shape, hint in (
        ((1, 3, 148, 148), "or take subnet.at(148)"),
        ((1, 3, 136, 136), "give images of 3 x 132 x 132"),
        ((1, 3, 132, 148), "give images of 3 x 132 x 132"),
        ((1, 1, 132, 132), "give images of 3 x 132 x 132"),
        ((3, 132, 132), "give images of 3 x 132 x 132"),
    ):
        with pytest.raises(ConfigError, match="do not fit subnet") as caught:
            net(torch.zeros(shape, dtype=torch.float64), subnet)
        assert caught.value.hint.endswith(hint)
        assert str(list(shape)) in caught.value.why


def test_a_subnet_of_another_space_is_refused(net: Supernet) -> None:
    foreign = net.space.smallest(132).at(136)
    for use in (lambda: net(torch.zeros(1, 3, 136, 136), foreign), lambda: net.extract(foreign)):
        with pytest.raises(ConfigError, match="is not of space") as caught:
            use()
        assert "resolution 136, wanted one of 64, 96, 132, 148, 156" in caught.value.why
