"""Spellings: each wanted key has its own, over all published layouts."""

import json
from collections import defaultdict

import pytest
from places import FACTS

from ofa_edge.supernet.importing.dialects import spellings, without_parallel

LAYOUTS = sorted(path.name for path in FACTS.glob("ofa_*.json"))


def keys_of(name: str) -> list[str]:
    return [key for key, _ in json.loads((FACTS / name).read_text())]


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (
            "blocks.3.conv.point_linear.conv.conv.weight",
            {
                "blocks.3.conv.point_linear.conv.weight",
                "blocks.3.mobile_inverted_conv.point_linear.conv.conv.weight",
                "blocks.3.mobile_inverted_conv.point_linear.conv.weight",
            },
        ),
        ("blocks.3.conv.depth_conv.bn.bn.running_var", {"blocks.3.conv.depth_conv.bn.running_var"}),
        ("classifier.linear.weight", {"classifier.linear.linear.weight"}),
        ("classifier.linear.linear.bias", {"classifier.linear.bias"}),
        ("first_conv.conv.weight", {"first_conv.conv.conv.weight"}),
        ("input_stem.1.conv.conv.conv.weight", {"input_stem.1.conv.conv.weight"}),
    ],
)
def test_the_published_aliases(key: str, wanted: set[str]) -> None:
    assert wanted <= set(spellings(key))
    assert spellings(key)[key] == ()


@pytest.mark.parametrize(
    "key", ["blocks.1.conv.depth_conv.se.fc.reduce.weight", "blocks.1.conv.depth_conv.conv.5to3_matrix"]
)
def test_gates_and_matrices_have_their_block_name_only(key: str) -> None:
    assert set(spellings(key)) == {key, key.replace(".conv.", ".mobile_inverted_conv.", 1)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_spelling_of_a_published_layout_means_two_keys(name: str) -> None:
    meanings = defaultdict(set)
    for key in keys_of(name):
        for spelled in spellings(key):
            meanings[spelled].add(key)
    assert not {spelled: keys for spelled, keys in meanings.items() if len(keys) > 1}


def test_a_prefix_that_only_some_keys_have_is_none() -> None:
    assert without_parallel(["module.a", "module.b"]) == {"module.a": "a", "module.b": "b"}
    assert without_parallel(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}
    assert without_parallel([]) == {}
