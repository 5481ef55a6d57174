"""Configurations of subnets: what is taken, and in which words the rest is refused."""

import json
import random
from typing import Any

import numpy as np
import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.space import Space, Subnet

SIZES = tuple(range(128, 225, 4))
V3 = Space("v3", resolutions=SIZES)
PROXYLESS = Space.of("ofa_proxyless", "proxyless", resolutions=SIZES)
RESNET = Space.of("ofa_resnet", "resnet", resolutions=SIZES)
SPACES = (V3, PROXYLESS, RESNET)
FULL = {"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5}


def test_one_number_holds_everywhere() -> None:
    assert V3.from_config({"ks": 7, "e": 6, "d": 4}) == V3.largest()
    assert V3.from_config({"ks": 3, "e": [4] * 10, "d": 2, "r": 132}) == V3.uniform(3, 4, 2, 132)
    assert V3.from_config({"ks": [5] * 20, "e": 3, "d": [2] * 5}) == V3.uniform(5, 3, 2)
    assert PROXYLESS.from_config({"ks": 7, "e": 6, "d": 4}) == PROXYLESS.largest()
    assert RESNET.from_config({"w": 2, "e": 0.35, "d": 2}) == RESNET.largest()
    assert RESNET.from_config({"w": 0, "e": 0.2, "d": 0, "r": 128}) == RESNET.smallest()


@pytest.mark.parametrize(
    ("spelled", "wanted"),
    [
        ({**FULL, "r": [148]}, V3.largest(148)),
        ({**FULL, "r": (148,)}, V3.largest(148)),
        ({**FULL, "r": 148.0}, V3.largest(148)),
        ({**FULL, "r": "148"}, V3.largest(148)),
        ({**FULL, "r": None}, V3.largest()),
        ({**FULL, "r": 148, "image_size": 148}, V3.largest(148)),
        ({**FULL, "wid": None}, V3.largest()),
        ({**FULL, "top1": 0.76}, V3.largest()),
        ({"ks": [7.0] * 20, "e": ["6"] * 20, "d": "4"}, V3.largest()),
        ({"ks": np.full(20, 7), "e": np.float32(6), "d": np.int64(4)}, V3.largest()),
        ({"ks": ([3, 3, 0, None] * 5), "e": ([4, 4, 0, "-"] * 5), "d": (2,) * 5}, V3.uniform(3, 4, 2)),
    ],
)
def test_what_is_taken(spelled: dict[str, Any], wanted: Subnet) -> None:
    assert V3.from_config(spelled) == wanted


@pytest.mark.parametrize(
    ("space", "change", "why"),
    [
        (V3, {"ks": None}, "no 'ks', only e, d"),
        (V3, {"e": None}, "no 'e', only"),
        (V3, {"d": None}, "no 'd', only"),
        (V3, {"kernels": [3] * 20}, "unknown key 'kernels'"),
        (V3, {"resolution": 160}, "unknown key 'resolution', perhaps 'r'"),
        (V3, {"image_sizes": 160}, "unknown key 'image_sizes', perhaps 'image_size'"),
        (V3, {"wid": 1.2}, "wid = 1.2; the only value known is null"),
        (V3, {"w": [0] * 6}, "w: the widths of this space are fixed"),
        (V3, {"ks": [7] * 19}, "ks has 19 values, wanted 20 (one a block of the supernet), or one number for all"),
        (
            V3,
            {"d": [2] * 5, "ks": [7] * 7},
            "ks has 7 values, wanted 20 (one a block of the supernet) or 10 (one a block that",
        ),
        (V3, {"d": [2] * 5, "ks": [7] * 10}, "ks 10 and e 20, wanted 20 in both, or 10"),
        (V3, {"d": [4] * 6}, "d has 6 values, wanted 5 (one a stage)"),
        (V3, {"d": [4, 4, 1, 4, 4]}, "d[2] is 1, wanted one of 2, 3, 4"),
        (V3, {"d": [4, 4, 2.5, 4, 4]}, "d[2] is 2.5, wanted one of 2, 3, 4"),
        (V3, {"ks": [7] * 19 + [9]}, "ks[19] is 9, wanted one of 3, 5, 7"),
        (V3, {"ks": [7] * 19 + [5.5]}, "ks[19] is 5.5, wanted one of 3, 5, 7"),
        (V3, {"ks": [7] * 19 + [True]}, "ks[19] is True, wanted one of 3, 5, 7"),
        (V3, {"ks": [7] * 19 + [[7, 7]]}, "ks[19] is [7, 7], wanted one of 3, 5, 7"),
        (V3, {"ks": [[7] * 4] * 5}, "ks has 5 values, wanted 20"),
        (V3, {"ks": "seven"}, "ks[0] is 'seven', wanted one of 3, 5, 7"),
        (V3, {"ks": {"all": 7}}, "ks[0] is {'all': 7}, wanted one of 3, 5, 7"),
        (V3, {"e": [6] * 19 + [float("nan")]}, "e[19] is nan, wanted one of 3, 4, 6"),
        (V3, {"e": [6] * 19 + [10**400]}, "wanted one of 3, 4, 6"),
        (V3, {"r": 130}, "r is 130, wanted one of 128 .. 224 in steps of 4"),
        (V3, {"r": [128, 160]}, "r has 2 values, wanted one size"),
        (V3, {"r": []}, "r has 0 values, wanted one size"),
        (V3, {"r": [[128]]}, "r is [128], wanted one of 128 .. 224"),
        (V3, {"r": 128, "image_size": 160}, "r is 128 and image_size 160"),
        (RESNET, {"w": None}, "no 'w', only"),
        (RESNET, {"w": [0] * 5}, "w has 5 values, wanted 6 (one a width)"),
        (RESNET, {"w": [0, 0, -1, 0, 0, 0]}, "w[2] is -1, wanted one of 0, 1, 2"),
        (RESNET, {"d": [0, 1, 2, 3, 0]}, "d[3] is 3, wanted one of 0, 1, 2"),
        (RESNET, {"e": [0.2] * 17}, "e has 17 values, wanted 18 (one a block of the supernet)"),
        (RESNET, {"e": [0.2] * 17 + [0.3]}, "e[17] is 0.3, wanted one of 0.2, 0.25, 0.35"),
    ],
)
def test_what_is_refused_is_named(space: Space, change: dict[str, Any], why: str) -> None:
    good = FULL if space is V3 else {"w": [2] * 6, "e": [0.35] * 18, "d": [2] * 5}
    space.from_config(good)
    with pytest.raises(ConfigError, match="not a subnet configuration of space") as caught:
        space.from_config({**good, **change})
    assert why in caught.value.why
    example = json.loads(caught.value.hint.partition("for example ")[2].partition("}")[0] + "}")
    assert space.from_config(example) == space.largest()


@pytest.mark.parametrize("value", [[], [3, 5], "ks", 7, None])
def test_what_is_no_table_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="not a subnet configuration") as caught:
        V3.from_config(value)
    assert "wanted keys and values" in caught.value.why


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_random_configurations_are_read_or_refused_in_words(space: Space) -> None:
    """Whatever stands at a key: a subnet of the space, or a ConfigError in three parts."""
    rng = random.Random(0)
    junk = [
        None,
        True,
        "",
        "x",
        "7",
        -1,
        0,
        2,
        3,
        2.5,
        float("inf"),
        [],
        [[]],
        {},
        {"a": 1},
        (4,) * 5,
        [0.2] * 18,
        b"7",
    ]
    keys = ["ks", "e", "d", "r", "image_size", "w", "wid", "blocks", "widths", "other"]
    base = space.largest().config()
    read, refused = 0, []
    for _ in range(3000):
        config = {**base, **{rng.choice(keys): rng.choice(junk) for _ in range(rng.randrange(3))}}
        try:
            assert space.check(space.from_config(config))
            read += 1
        except ConfigError as error:
            refused.append(error)
    assert 100 < read < 2900
    assert all(error.what and error.why and error.hint for error in refused)
