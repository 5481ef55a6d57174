"""docs/recipe.md is the schema."""

import pytest
from places import ROOT
from pydantic import BaseModel

from ofa_edge.training.recipe import (
    AugmentRecipe,
    DataRecipe,
    ManyRecipe,
    MeasureRecipe,
    Phase,
    Recipe,
    SpaceRecipe,
    StartRecipe,
    TeacherRecipe,
)
from ofa_edge.training.recipe_keys import recipe_page

PAGE = ROOT / "docs" / "recipe.md"


def test_the_page_is_what_the_command_prints():
    assert PAGE.read_text() == recipe_page(), "ofa-edge train --keys > docs/recipe.md"


TABLES = [StartRecipe, ManyRecipe, TeacherRecipe, SpaceRecipe, DataRecipe, AugmentRecipe, MeasureRecipe, Phase]


@pytest.mark.parametrize("model", [Recipe, *TABLES])
def test_every_key_is_there_with_its_meaning(model: type[BaseModel]):
    lines = recipe_page().splitlines()
    for name, field in model.model_fields.items():
        assert field.description, name
        nested = model is Recipe and "see [" in field.description
        assert nested or any(line.startswith(f"| `{name}` |") and field.description in line for line in lines)


def test_types_and_defaults_are_told():
    lines = recipe_page().splitlines()
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    assert '| `"none"`, `"sampler"`, `"loss"` | `"none"` |' in rows["balance"]
    assert "| whole number > 0 or number > 0, < 1 | `0.1` |" in rows["held_out"]
    assert "| list of 2: number | `[0.75, 1.33333]` |" in rows["ratio"]
    assert "| true or false | `true` |" in rows["flip"]
