from pathlib import Path

import pytest
from builds import shorten_search
from tiny_package import shared_package


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    return shared_package(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def short_search():
    with pytest.MonkeyPatch.context() as patch:
        shorten_search(patch)
        yield
