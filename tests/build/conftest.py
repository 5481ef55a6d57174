import functools
from pathlib import Path

import pytest
from tiny_package import shared_package

from ofa_edge.build import searching
from ofa_edge.search.evolution import SearchOptions, search


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    return shared_package(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def short_search():
    """The tiny space is searched well enough with few evaluations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "search", functools.partial(search, options=SearchOptions(evaluations=600)))
        yield
