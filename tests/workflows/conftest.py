import shutil
from pathlib import Path

import pytest
from builds import Workshop, shared_build
from shortened import shorten_search
from tiny_package import shared_package

from ofa_edge.records.manifest import Manifest, read_manifest


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    return shared_package(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def short_search():
    with pytest.MonkeyPatch.context() as patch:
        shorten_search(patch)
        yield


@pytest.fixture(scope="session")
def first(package, tmp_path_factory) -> tuple[Path, Manifest]:
    """The first build, from an empty cache: its output folder (do not change it) and its manifest."""
    folder = shared_build(package, tmp_path_factory)
    return folder / "out", read_manifest(folder / "out")


@pytest.fixture
def own_cache(package, first, tmp_path) -> Workshop:
    """A copy of the cache that the first build filled."""
    return Workshop(package, Path(shutil.copytree(first[0].parent / "cache", tmp_path / "cache")))


@pytest.fixture(scope="module")
def workshop(package, first, tmp_path_factory) -> Workshop:
    """Another such copy, for all tests of a file."""
    folder = tmp_path_factory.mktemp("workshop")
    return Workshop(package, Path(shutil.copytree(first[0].parent / "cache", folder / "cache")))
