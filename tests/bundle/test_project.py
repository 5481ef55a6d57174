import tomllib
from pathlib import Path

import pytest
from app_folder import make_build

from ofa_edge.bundle.app import add_models, app_assets
from ofa_edge.bundle.project import PARTS, begin_project
from ofa_edge.bundle.record import read_bundle
from ofa_edge.errors import ConfigError, OutputError
from ofa_edge.files import shipped_folder

ROOT = Path(__file__).parents[2]


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_bundling_writes_the_project_where_there_is_none(tmp_path):
    build = make_build(tmp_path / "build")
    done = add_models(tmp_path / "new" / "app", [build], images=0)
    assert "project was written" in done.notes[0]
    app = tmp_path / "new" / "app"
    assert read_bundle(app_assets(app)).names == done.added
    wanted = {name for name in files(ROOT / "android_demo") if name.startswith(PARTS) and "__pycache__" not in name}
    assets = {name for name in files(app) if name.startswith("app/src/main/assets/")}
    assert files(app) - assets - {name for name in files(app) if name.endswith(".lock")} == wanted
    again = add_models(app, [build], images=0)
    assert not again.added
    assert not any("project was written" in note for note in again.notes)


def test_a_build_that_is_refused_leaves_no_project(tmp_path):
    with pytest.raises(ConfigError, match="no build"):
        add_models(tmp_path / "app", [tmp_path / "nothing"])
    assert not (tmp_path / "app").exists()


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    assert not begin_project(tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        begin_project(tmp_path / "file" / "app")


def test_the_wheel_holds_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert [included.get(f"android_demo/{part}") for part in PARTS] == [
        f"ofa_edge/_android_demo/{part}" for part in PARTS
    ]
    assert all((shipped_folder("android_demo") / part).exists() for part in PARTS)
