"""A subnet of ours as net.config: what the reference itself writes, and what it builds a network from."""

import random
from types import SimpleNamespace

import pytest
import torch
from families import SPACES, Twins

from ofa_edge.supernet.importing.written import net_config


@pytest.mark.parametrize("family", SPACES)
def test_the_reference_writes_the_same_and_builds_the_same_network(ofa: SimpleNamespace, family: str) -> None:
    random.seed(7)
    twins = Twins.of(ofa, SPACES[family])
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for _ in range(4):
        subnet = twins.sample()
        config = net_config(twins.space, subnet)
        assert without_lists(config) == without_lists(twins.extracted().config)
        built = ofa.static.get_net_by_name(config["name"]).build_from_config(config).double().eval()
        static = twins.ours.extract(subnet)
        built.load_state_dict(static.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(built(images), static(images), rtol=1e-9, atol=1e-9)


def without_lists(value: object) -> object:
    """Without the channels of shortcuts, which build nothing: the reference writes a list or a number."""
    if isinstance(value, dict):
        channels = ("in_channels", "out_channels") if value.get("name") == "IdentityLayer" else ()
        return {key: without_lists(item) for key, item in value.items() if key not in channels}
    return [without_lists(item) for item in value] if isinstance(value, list) else value
