"""Plain names and relative paths: what each takes, refuses, and shows of what it refuses."""

import pytest
from hostile_names import NAMES

from ofa_edge.errors import ConfigError
from ofa_edge.names import is_plain, plain, relative_path, require_plain


@pytest.mark.parametrize("name", ["a", "0", "pixel-4", "ofa_mbv3_d234_w1.2", "A" * 100, "a..b", "pixel1_lat@20ms"])
def test_plain_names(name: str) -> None:
    assert is_plain(name)
    assert plain(name) == require_plain("recipe", name, "x.toml", "another name") == name


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain(name)
    with pytest.raises(ValueError, match="not a plain name"):
        plain(name)
    with pytest.raises(ConfigError, match="not a recipe name") as caught:
        require_plain("recipe", name, "x.toml", "another name")
    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 150
    assert caught.value.why.startswith("x.toml: ")


@pytest.mark.parametrize("path", ["a", "tvm/model.so", "a b/c", "./a", "a/.hidden"])
def test_paths_inside(path: str) -> None:
    assert relative_path(path) == path.removeprefix("./")


@pytest.mark.parametrize(
    "path", ["", ".", "/", "/a", "//a", "..", "a/..", "a/../b", "../a", "a\\b", "C:/a", "c:a", "a\0", "a\nb", "\u202ea"]
)
def test_paths_that_lead_elsewhere(path: str) -> None:
    with pytest.raises(ValueError, match="inside its folder"):
        relative_path(path)
