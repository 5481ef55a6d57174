"""What is said of the files that others published: no more than is known, under names that can be asked for."""

import re

import pytest
from places import ROOT

from ofa_edge.supernet import zoo
from ofa_edge.supernet.published import FILES, LICENCE, not_here, published

PAGE = (ROOT / "docs" / "published.md").read_text()


def test_every_published_space_has_its_file_and_every_name_is_one_files() -> None:
    assert [each.name for each in FILES if each.kind == "supernet"] == list(zoo.UNTRAINED)
    assert len([each for each in FILES if each.kind == "network"]) == 58
    names = [each.name for each in FILES]
    assert len(set(names)) == len(names)
    assert len({each.address for each in FILES}) == len(FILES)


@pytest.mark.parametrize("each", FILES, ids=lambda each: each.name)
def test_what_is_said_of_a_file(each) -> None:
    assert each.address.startswith("https://")
    assert "@" not in each.address
    assert (each.size is None) == (each.sha256 is None) == (each.source == "")
    assert each.sha256 is None or re.fullmatch("[0-9a-f]{64}", each.sha256)
    assert published(each.name) is each
    assert each.command.startswith("ofa-edge ")
    error = not_here(each)
    assert each.name in error.what
    assert each.address in error.why
    assert ("SHA-256 not known" in error.why) == (each.sha256 is None)
    assert error.hint.endswith(each.sha256 or each.command)


def test_names_are_known_with_dashes_too() -> None:
    assert published("note10_lat-22ms_top1-76.6_finetune-25").name == "note10_lat@22ms_top1@76.6_finetune@25"
    assert published("acc_predictor.pth").kind == "accuracy predictor"
    assert published("ofa_resnet50_d0-1-2_e0.2-0.25-0.35_w0.65-0.8-1.0").name == "ofa_resnet50"
    assert published("ofa_mbv3") is None


def test_the_page_says_what_is_known_and_nothing_else() -> None:
    assert LICENCE in PAGE.replace("\n", " ")
    for each in FILES:
        assert f"`{each.name}`" in PAGE
        if each.kind != "network":
            assert each.address in PAGE
        if each.size is not None:
            assert f"{each.size:,}" in PAGE
    assert set(re.findall("[0-9a-f]{64}", PAGE)) == {each.sha256 for each in FILES if each.sha256}
