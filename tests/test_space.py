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
        {"ks": [3] * 20, "e": [float("inf")] * 20, "d": [2] * 5},
    ],
)
def test_bad_configurations_are_refused(config):
    with pytest.raises(ConfigError):
        IMAGENET.from_config(config)


def test_a_resolution_as_text():
    subnet = IMAGENET.uniform(3, 4, 2, 160)
    assert IMAGENET.from_config({**subnet.config(), "r": "160"}) == subnet


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


PROXYLESS = Space.of("ofa_proxyless", "proxyless", width_mult=1.3)
RESNET = Space.of("ofa_resnet", "resnet")
FAMILIES = pytest.mark.parametrize("space", [TINY, PROXYLESS, RESNET], ids=lambda space: space.family)


def test_shapes_of_the_other_published_families():
    assert PROXYLESS.widths == (40, 24, 32, 56, 104, 128, 248, 416, 1664)
    assert PROXYLESS.stage_depths == ((2, 3, 4),) * 5 + ((1,),)
    assert PROXYLESS.count == 9 * IMAGENET.count
    assert RESNET.widths == (32, 64, 256, 512, 1024, 2048)
    assert RESNET.stage_depths == ((0, 1), (2, 3, 4), (2, 3, 4), (4, 5, 6), (2, 3, 4))
    assert len(RESNET.blocks) == 1 + 18
    assert f"{RESNET.count:.2g}" == "2.5e+12"


def test_widths_of_resnet_follow_its_ratios():
    subnet = RESNET.from_config({"d": [0, 1, 0, 2, 0], "e": [0.2] * 18, "w": [0, 1, 2, 0, 1, 2], "image_size": 160})
    assert subnet.widths == (0.65, 0.8, 1.0, 0.65, 0.8, 1.0)
    assert subnet.depths == (0, 3, 2, 6, 2)
    assert RESNET.active_widths(subnet.widths) == (24, 48, 256, 336, 816, 2048)
    blocks = RESNET.active_blocks(subnet)
    assert [(block.spec.in_channels, block.spec.out_channels) for block in blocks[:4]] == [
        (48, 256), (256, 256), (256, 256), (256, 336),
    ]  # fmt: skip
    assert [block.spec.shortcut for block in blocks[:4]] == [False, True, True, False]


@FAMILIES
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_genomes_subnets_and_configurations_of_every_family(space, seed):
    rng = np.random.default_rng(seed)
    genomes = space.sample(rng, 5)
    mixed = space.crossover(genomes, space.mutate(genomes, rng, 0.5, 0.5), rng)
    for rows in (genomes, mixed):
        assert np.array_equal(space.canonical(rows), rows)
        subnets = [space.subnet(row) for row in rows]
        assert np.array_equal(space.genome(subnets), rows)
        for subnet in subnets:
            assert space.from_config(json.loads(json.dumps(subnet.config()))) == space.check(subnet)
        assert space.one_hot(rows).shape[1] == space.code.sizes.sum() - sum(map(len, space.stage_depths))


@FAMILIES
def test_equal_networks_have_equal_ids_and_different_ones_do_not(space):
    subnets = [space.subnet(row) for row in space.sample(np.random.default_rng(0), 200)]
    assert len({subnet.id for subnet in subnets}) == len(set(subnets))


@FAMILIES
def test_spaces_of_every_family_come_back_from_json(space):
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert len({each.hash for each in (TINY, PROXYLESS, RESNET)}) == 3


@FAMILIES
def test_restriction_leaves_subnets_of_the_space(space):
    part = space.restricted(expands=space.expands[1:], depths=space.depths[-1:])
    assert part.largest() == space.largest()
    for row in part.sample(np.random.default_rng(0), 20):
        assert space.check(part.subnet(row)).depths == space.largest().depths
    with pytest.raises(ConfigError, match="no such depths"):
        space.restricted(depths=(9,))


def test_proxyless_ignores_the_depth_of_its_last_block():
    config = {"ks": [3] * 21, "e": [4] * 21, "d": [2, 3, 4, 2, 3, 4], "image_size": 224}
    assert PROXYLESS.from_config(config).depths == (2, 3, 4, 2, 3, 1)


@pytest.mark.parametrize(
    "config",
    [
        {"d": [2] * 4, "e": [0.2] * 18, "w": [0] * 6},
        {"d": [2] * 5, "e": [0.2] * 17, "w": [0] * 6},
        {"d": [2] * 5, "e": [0.2] * 18, "w": [0] * 5},
        {"d": [2] * 5, "e": [0.2] * 18, "w": [3] * 6},
        {"d": [2] * 5, "e": [0.2] * 18, "w": [-1] * 6},
        {"d": [3] * 5, "e": [0.2] * 18, "w": [0] * 6},
        {"d": [2] * 5, "e": [0.3] * 18, "w": [0] * 6},
        {"d": [2] * 5, "e": [0.2] * 18},
        {"ks": [3] * 20, "e": [4] * 20, "d": [2] * 5},
    ],
)
def test_bad_resnet_configurations_are_refused(config):
    with pytest.raises(ConfigError):
        RESNET.from_config(config)


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "ofa_vgg"},
        {"width_ratios": ()},
        {"kernels": (3, 5)},
        {"depths": (2, 1)},
        {"strides": (2, 2, 2)},
        {"expands": (0.0, 0.2)},
    ],
)
def test_bad_resnet_spaces_are_refused(changes):
    with pytest.raises(ConfigError):
        Space.of(**{"family": "ofa_resnet", "name": "bad", **changes})


def test_fixed_widths_have_no_ratios():
    with pytest.raises(ConfigError, match="bad width_ratios"):
        Space("bad", width_ratios=(0.5, 1.0))
