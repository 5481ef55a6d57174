"""Specialised networks: a net.config names a subnet of a space, and its weights fill it."""

import dataclasses
import json
from typing import Any

import net_configs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_edge.errors import ConfigError, WeightsError
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.importing.config_layout import config_layout
from ofa_edge.supernet.importing.net_config import NetConfig, parse_net_config
from ofa_edge.supernet.importing.networks import import_network
from ofa_edge.supernet.importing.reading import Checkpoint
from ofa_edge.supernet.importing.subnets import choose, place, static_layout
from ofa_edge.supernet.static import StaticNet

SIZES = (32, 48)
SPACES = {
    "mobile": Space("mobile", 0.5, 1, 5, resolutions=SIZES),
    "proxyless": Space.of("ofa_proxyless", "proxyless", width_mult=0.5, resolutions=SIZES),
    "resnet": Space.of("ofa_resnet", "resnet", resolutions=SIZES),
}
FAMILIES = pytest.mark.parametrize("family", SPACES)


def draw(space: Space, seed: int) -> Subnet:
    return space.subnet(space.sample(np.random.default_rng(seed), 1)[0])


def parsed(space: Space, subnet: Subnet) -> NetConfig:
    return parse_net_config(json.loads(json.dumps(net_configs.of(space, subnet))), "net.config")


@FAMILIES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_subnet_is_found_again(family: str, seed: int) -> None:
    space = SPACES[family]
    subnet = draw(space, seed)
    placed = place(parsed(space, subnet), subnet.resolution, SPACES.values())
    assert (placed.space, placed.subnet.stages, placed.notes) == (space, subnet.stages, ())
    # Two ratios may round to one width: the network is the same.
    assert space.active_widths(placed.subnet.widths) == space.active_widths(subnet.widths)


@FAMILIES
def test_the_layout_of_a_configuration_is_that_of_the_network(family: str) -> None:
    space = SPACES[family]
    subnet = draw(space, 1)
    wanted = {key: tuple(shape) for key, shape in static_layout(space, subnet).items() if "tracked" not in key}
    assert config_layout(parsed(space, subnet)) == wanted


@FAMILIES
def test_classes_channels_and_sizes_are_the_files(family: str) -> None:
    space = dataclasses.replace(SPACES[family], num_classes=9, in_channels=4, resolutions=(32, 40, 48))
    subnet = draw(space, 2).at(40)
    placed = place(parsed(space, subnet), 40, SPACES.values())
    assert (placed.space, placed.subnet.resolution) == (space, 40)
    assert "size 40" in placed.notes[0]


@FAMILIES
def test_weights_fill_the_network(family: str) -> None:
    space = SPACES[family]
    subnet = draw(space, 3)
    torch.manual_seed(0)
    net = StaticNet(space, subnet).eval()
    state = Checkpoint("init", "torch zip", {key: value.clone() for key, value in net.state_dict().items()})
    imported = import_network(state, parsed(space, subnet), subnet.resolution, SPACES.values())
    assert imported.net.calibrated
    assert not imported.net.training
    images = torch.randn(1, space.in_channels, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(imported.net(images), net(images))
    other = draw(space, 4)
    assert other.stages != subnet.stages
    with pytest.raises(WeightsError, match=r"the net\.config"):
        import_network(state, parsed(space, other), 32, SPACES.values())


def changed(*path: Any, value: Any, family: str = "mobile") -> NetConfig:
    config = net_configs.of(SPACES[family], SPACES[family].smallest())
    part: Any = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return parse_net_config(json.loads(json.dumps(config)), "net.config")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (changed("blocks", 3, "conv", "mid_channels", value=88), "block 2 is 88 wide inside"),
        (changed("blocks", 3, "conv", "stride", value=1), "stride 1"),
        (changed("blocks", 3, "conv", "act_func", value="relu6"), "relu6"),
        (changed("blocks", 3, "conv", "use_se", value=False), "relu; wanted"),
        (changed("blocks", 2, "shortcut", value=None), "wanted"),
        (changed("first_conv", "act_func", value="relu"), "first_conv.act_func is 'relu', wanted 'h_swish'"),
        (changed("first_conv", "stride", value=1), "first_conv.stride"),
        (changed("first_conv", "out_channels", value=16), "first_conv"),
        (changed("feature_mix_layer", "use_bn", value=True), "feature_mix_layer.bn"),
        (changed("classifier", "in_features", value=1000), "classifier.linear.weight"),
        (changed("blocks", 1, "mid_channels", value=64, family="resnet"), "64 wide inside"),
        (changed("input_stem", 0, "out_channels", value=40, family="resnet"), "elastic width 0 is 40"),
    ],
)
def test_networks_of_no_space_are_refused_with_the_reason(config: NetConfig, words: str) -> None:
    with pytest.raises(ConfigError, match="of no space") as caught:
        place(config, 32, SPACES.values())
    assert words in caught.value.why


def test_too_many_blocks_and_too_few() -> None:
    space = SPACES["mobile"]
    config = net_configs.of(space, space.largest())
    for blocks, words in (
        (config["blocks"] + config["blocks"][-1:], "no more blocks"),
        (config["blocks"][:-4], "stage 5 has 0 blocks, wanted one of 2, 3, 4"),
        (config["blocks"][:-3], "stage 5 has 1 blocks, wanted one of 2, 3, 4"),
    ):
        with pytest.raises(ConfigError, match="of no space") as caught:
            place(parse_net_config({**config, "blocks": blocks}, "net.config"), 32, [space])
        assert words in caught.value.why


def test_another_eps_is_taken_up_by_the_variances() -> None:
    space = SPACES["mobile"]
    subnet = space.smallest()
    torch.manual_seed(0)
    net = StaticNet(space, subnet).eval()
    state = Checkpoint("init", "torch zip", {key: value.clone() for key, value in net.state_dict().items()})
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.1
    config = {**net_configs.of(space, subnet), "bn": {"momentum": 0.1, "eps": 0.1}}
    imported = import_network(state, parse_net_config(config, "net.config"), 32, [space])
    images = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(imported.net(images), net(images), rtol=1e-4, atol=1e-5)
    assert any("0.1" in note for note in imported.notes)


# -- choices taken over to a space of one's own --


def test_choices_of_a_published_network_in_a_space_of_ones_own() -> None:
    theirs = SPACES["mobile"]
    own = Space("own", 0.25, 1, 10, (1, 2, 2, 1, 1, 1), (28, 32))
    subnet = draw(theirs, 5).at(32)
    placed = choose(parsed(theirs, subnet), own, [theirs], 32)
    assert (placed.space, placed.subnet) == (own, subnet)
    assert "taken over" in placed.notes[0]


def test_ones_own_space_comes_first() -> None:
    own = dataclasses.replace(SPACES["mobile"], name="own")
    subnet = draw(own, 6)
    assert choose(parsed(own, subnet), own, SPACES.values(), subnet.resolution).notes == ()


def test_a_space_of_another_family_is_told() -> None:
    theirs = SPACES["mobile"]
    for own in (SPACES["proxyless"], SPACES["resnet"]):
        with pytest.raises(ConfigError, match="another family") as caught:
            choose(parsed(theirs, theirs.smallest()), own, [theirs], 32)
        assert own.family in caught.value.why


@pytest.mark.parametrize(
    "own",
    [
        Space("own", 0.25, 1, 10, resolutions=(28,)),
        Space("own", 0.25, 1, 10, resolutions=(32,), kernels=(3,)),
        Space("own", 0.25, 1, 10, resolutions=(32,), depths=(3, 4)),
        SPACES["proxyless"],
        SPACES["resnet"],
    ],
)
def test_choices_that_the_own_space_lacks(own: Space) -> None:
    theirs = SPACES["mobile"]
    with pytest.raises(ConfigError):
        choose(parsed(theirs, theirs.uniform(7, 4, 2, 32)), own, [theirs], 32)
