import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_edge.errors import ConfigError
from ofa_edge.space import Space, Subnet, make_divisible, middle_width, squeeze_width

IMAGENET = Space("imagenet")
TINY = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))


@pytest.mark.parametrize(("value", "rounded"), [(11, 16), (36, 40), (249.6, 248), (4, 8), (16, 16)])
def test_make_divisible_follows_mobilenet(value, rounded):
    assert make_divisible(value) == rounded


def test_widths_of_the_published_nets():
    assert IMAGENET.widths == (16, 16, 24, 40, 80, 112, 160, 960, 1280)
    assert Space("w1.2", 1.2).widths == (24, 24, 32, 48, 96, 136, 192, 1152, 1536)
    assert middle_width(24, 6) == 144
    assert squeeze_width(144) == 40


def test_counts_2e19_subnets():
    assert IMAGENET.count == (81 + 729 + 6561) ** 5
    assert f"{IMAGENET.count:.3g}" == "2.18e+19"


def test_a_subnet_is_canonical_by_construction():
    config = {"ks": [3] * 20, "e": [4] * 20, "d": [2] * 5, "r": 224}
    other = {"ks": ([3, 3, 7, 7] * 5), "e": ([4, 4, 6, 6] * 5), "d": [2] * 5, "image_size": 224}
    assert IMAGENET.from_config(config) == IMAGENET.from_config(other)
    assert len(IMAGENET.from_config(config).config()["ks"]) == 10


def test_both_dialects_of_the_reference():
    subnet = IMAGENET.largest()
    full = {"wid": None, "ks": [7] * 20, "e": [6] * 20, "d": [4] * 5, "r": [224]}
    assert IMAGENET.from_config(full) == subnet
    assert IMAGENET.from_config({"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5, "image_size": 224}) == subnet


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"ks": [3], "e": [3], "d": [2] * 5},
        {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 100},
        {"ks": [9] * 10, "e": [3] * 10, "d": [2] * 5},
        {"ks": [3] * 10, "e": [3] * 10, "d": [1] * 5},
        {"ks": "x", "e": [3] * 10, "d": [2] * 5},
    ],
)
def test_bad_configurations_are_refused(config):
    with pytest.raises(ConfigError):
        IMAGENET.from_config(config)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_genomes_and_subnets_are_the_same_points(seed, count):
    genomes = TINY.sample(np.random.default_rng(seed), count)
    subnets = [TINY.subnet(row) for row in genomes]
    assert np.array_equal(TINY.genome(subnets), genomes)
    assert np.array_equal(TINY.canonical(genomes), genomes)
    for subnet in subnets:
        assert TINY.from_config(json.loads(json.dumps(subnet.config()))) == subnet
        assert TINY.check(subnet) is subnet


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_mutants_and_children_are_canonical_and_in_the_space(seed):
    rng = np.random.default_rng(seed)
    first, second = TINY.sample(rng, 20), TINY.sample(rng, 20)
    for genomes in (TINY.mutate(first, rng, 0.5, 0.5), TINY.crossover(first, second, rng)):
        assert np.array_equal(TINY.genome([TINY.subnet(row) for row in genomes]), genomes)


def test_crossover_takes_every_gene_from_a_parent():
    rng = np.random.default_rng(0)
    low, high = TINY.genome([TINY.uniform(3, 3, 4, 20)]), TINY.genome([TINY.uniform(7, 6, 4, 28)])
    child = TINY.crossover(np.repeat(low, 50, 0), np.repeat(high, 50, 0), rng)
    assert ((child == low) | (child == high)).all()
    assert (child == low).any()
    assert (child == high).any()


def test_one_hot_has_zeros_for_skipped_blocks():
    features = TINY.one_hot(TINY.genome([TINY.smallest(28), TINY.largest(28)]))
    assert features.shape == (2, 20 * 6 + 3)
    assert features.sum(1).tolist() == [10 * 2 + 1, 20 * 2 + 1]


def test_the_hash_covers_the_shape_and_not_the_name():
    assert Space("other").hash == IMAGENET.hash
    assert Space("other", 1.2).hash != IMAGENET.hash
    assert Space.from_json(json.loads(json.dumps(TINY.to_json()))) == TINY


@pytest.mark.parametrize(
    "changes",
    [{"strides": (2, 2)}, {"kernels": (3, 9)}, {"resolutions": ()}, {"depths": (3, 2)}, {"num_classes": 1}],
)
def test_bad_spaces_are_refused(changes):
    with pytest.raises(ConfigError):
        Space("bad", **changes)


def test_from_json_refuses_unknown_keys_and_families():
    with pytest.raises(ConfigError, match="not a search space"):
        Space.from_json({**TINY.to_json(), "family": "resnet"})
    with pytest.raises(ConfigError, match="not a search space"):
        Space.from_json({**TINY.to_json(), "surprise": 1})


def test_check_names_what_is_wrong():
    with pytest.raises(ConfigError) as caught:
        TINY.check(Subnet((((3, 3),) * 2,) * 5, 32))
    assert "resolution 32" in caught.value.why
