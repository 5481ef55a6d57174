from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_edge.bundle.names import check_name, slug
from ofa_edge.bundle.record import model_paths, sample_paths
from ofa_edge.errors import UsageError

HOSTILE = st.one_of(st.text(max_size=80), st.text(alphabet="./\\~-_aZ0 \n\0:%", max_size=80))


@given(HOSTILE)
def test_whatever_name_passes_stays_in_its_folder(name):
    try:
        check_name(name)
    except UsageError:
        return
    assert 1 <= len(name) <= 64
    for path in (*model_paths(name), *sample_paths(name)):
        for kind in (PurePosixPath, PureWindowsPath):
            parts = kind(path).parts
            assert parts[1:2] == (name,)
            assert len(parts) == 3
            assert not kind(path).is_absolute()
        assert not any(part.startswith(".") for part in PurePosixPath(path).parts)


@given(HOSTILE)
def test_a_slug_is_always_a_name_and_a_name_its_own_slug(text):
    name = slug(text)
    assert check_name(name) == name
    assert slug(name) == name


@pytest.mark.parametrize("name", ["a", "pixel-4-int8", "ofa_mbv3_d234_e346_k357_w1.0-fp32", "7", "a" * 64])
def test_ordinary_names_pass(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../a", "a\\b", "A", "ä", "a b", "a\n", "-x", "_x", "a" * 65, "cvs", "x.scc"],
)
def test_other_names_do_not(name):
    with pytest.raises(UsageError):
        check_name(name)
