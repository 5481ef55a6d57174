"""The store of golden artifacts: it holds what a manifest names, and nothing that a build's folder leads to."""

from pathlib import Path

import pytest
from app_folder import make_build

from ofa_edge.builds import Build
from ofa_edge.errors import OutputError
from ofa_edge.workflows.nightly.store import Store


def test_only_what_the_manifest_names_is_kept(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    (build / "notes.txt").write_text("mine")
    (build / "all").symlink_to("/")  # a copy of all that lies there would not end
    kept = Store(tmp_path / "golden").keep(Build.open(build))
    assert sorted(path.name for path in kept.folder.iterdir()) == ["labels.txt", "manifest.json", "model.tflite"]


def test_an_output_that_is_a_link_is_not_kept(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    (build / "labels.txt").rename(tmp_path / "labels.txt")
    (build / "labels.txt").symlink_to(tmp_path / "labels.txt")
    with pytest.raises(OutputError, match="is a link"):
        Store(tmp_path / "golden").keep(Build.open(build))
    assert list((tmp_path / "golden").iterdir()) == []
