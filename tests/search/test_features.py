"""Features of subnets, and the tables that a linear function of them collapses into."""

import numpy as np
import pytest
from landscapes import FASHION, TINY

from ofa_edge import cost
from ofa_edge.search.features import Features
from ofa_edge.space import Space

IMAGENET = Space("w1.2", 1.2)
PROXYLESS = Space.of("ofa_proxyless", "proxyless")
RESNET = Space.of("ofa_resnet", "resnet")


@pytest.mark.parametrize("space", [FASHION, TINY, IMAGENET, PROXYLESS], ids=lambda space: space.name)
def test_the_columns_are_what_they_say(space: Space) -> None:
    genomes = space.sample(np.random.default_rng(0), 50)
    features = Features(space)
    values = features(genomes)
    assert values.shape == (50, features.width)
    resolutions, stages = len(space.resolutions), space.num_stages
    assert (values[:, : features.detailed] == space.one_hot(genomes)[:, :-resolutions]).all()
    subnets = [space.subnet(genome) for genome in genomes]
    summaries = values[:, features.detailed : features.detailed + 3 * stages].reshape(50, stages, 3)
    assert (summaries[:, :, 0] == [subnet.depths for subnet in subnets]).all()
    kernels = [[sum(space.kernels.index(k) for k, _ in stage) for stage in subnet.stages] for subnet in subnets]
    expands = [[sum(space.expands.index(e) for _, e in stage) for stage in subnet.stages] for subnet in subnets]
    assert (summaries[:, :, 1] == kernels).all()
    assert (summaries[:, :, 2] == expands).all()
    assert (values[:, -2 - resolutions : -2] == space.one_hot(genomes)[:, -resolutions:]).all()
    macs = np.array([cost.macs(space, subnet) for subnet in subnets])
    assert values[:, -2] - values[0, -2] == pytest.approx(np.log(macs / macs[0]))
    assert values[:, -1] == pytest.approx(values[:, -2] ** 2)


def test_elastic_widths_have_columns_of_their_own() -> None:
    genomes = RESNET.sample(np.random.default_rng(0), 50)
    features = Features(RESNET)
    resolutions, ratios = len(RESNET.resolutions), 6 * 3
    shown = features(genomes)[:, -2 - resolutions - ratios : -2]
    assert (shown == RESNET.one_hot(genomes)[:, -ratios - resolutions :]).all()
    assert features.width == features.detailed + 3 * 5 + ratios + resolutions + 2


@pytest.mark.parametrize("space", [IMAGENET, PROXYLESS, RESNET], ids=lambda space: space.name)
def test_the_collapsed_function_is_the_linear_one(space: Space) -> None:
    rng = np.random.default_rng(1)
    features = Features(space)
    weights = rng.normal(size=features.width)
    genomes = space.sample(rng, 300)
    assert features.linear(weights, 0.5)(genomes) == pytest.approx(features(genomes) @ weights + 0.5, abs=1e-9)
