"""A recipe's name becomes the folder of its run: wherever it comes from, it is a plain one."""

import json
from pathlib import Path

import pytest
import tiny_runs
from hostile_names import NAMES

from ofa_edge.errors import ConfigError
from ofa_edge.training.recipe_files import load_recipe, parse_recipe


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_cannot_name_a_folder_elsewhere(name: str) -> None:
    text = tiny_runs.SHRINKING.replace('name = "shrinking"', f"name = {json.dumps(name)}", 1)
    with pytest.raises(ConfigError, match="name"):
        parse_recipe(text, "mine.toml")


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b"])
def test_nor_can_a_preset(tmp_path: Path, name: str) -> None:
    recipe, preset = tmp_path / "tiny.toml", tmp_path / "preset.toml"
    recipe.write_text(tiny_runs.SHRINKING)
    preset.write_text(f"name = {json.dumps(name)}\n")
    with pytest.raises(ConfigError, match="name"):
        load_recipe(str(recipe), str(preset))


def test_a_preset_without_a_name_has_its_files(tmp_path: Path) -> None:
    recipe, preset = tmp_path / "tiny.toml", tmp_path / "bands.toml"
    recipe.write_text(tiny_runs.SHRINKING)
    preset.write_text("seed = 1\n")
    assert load_recipe(str(recipe), str(preset)).name == "shrinking-bands"
