"""The tutorials, followed as they stand: every command in order, in one folder each, with made inputs."""

from pathlib import Path

import pytest
from flowers import save_flowers
from pages import blocks, follow
from places import ROOT
from published_layout import save_checkpoint

TUTORIALS = ROOT / "docs" / "tutorials"


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of stages that all tutorials share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and a devices file of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFA_EDGE_CACHE", str(kept))
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    return tmp_path


def test_own_weights(here: Path) -> None:
    save_checkpoint(here)
    save_flowers(here / "flowers")
    follow(TUTORIALS / "own-weights.md")
