"""Every key of a recipe file as a page: printed from the schema itself by `ofa-edge train --keys`."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

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

_TABLES: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("Top level", Recipe, "The run, its batch and its regularisation."),
    (
        "[start]",
        StartRecipe,
        "Weights to begin with, in place of random ones: `ofa-edge train --from` fills it in.",
    ),
    (
        "[many]",
        ManyRecipe,
        "What is other where there are many images. A move begins carefully, so that few images spoil nothing.",
    ),
    (
        "[teacher]",
        TeacherRecipe,
        "A classifier of the same classes, learnt from wherever labels are: `ofa-edge train --teacher FILE.onnx`.",
    ),
    (
        "[space]",
        SpaceRecipe,
        "What may be chosen. What is left out is the family's; classes and channels are the data's.",
    ),
    ("[data]", DataRecipe, "What is trained on, and what is kept apart."),
    ("[augment]", AugmentRecipe, "What is done to training images at random. With `crop`, any shift comes on top."),
    ("[measure]", MeasureRecipe, "What is measured after training. It does not decide the weights."),
    ("[[phases]]", Phase, "One table for each stretch of training, in order."),
)
_NESTED = {title.strip("[]") for title, *_ in _TABLES}
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
_LIMITS = {"exclusiveMinimum": "> {}", "minimum": ">= {}", "exclusiveMaximum": "< {}", "maximum": "<= {}"}
_HEAD = """# Every key of a recipe file

Printed by `ofa-edge train --keys` from the schema that reads the file; do not edit. A recipe is TOML: a method, a
preset, or both ([training.md](training.md)). Unknown keys are refused by name. A run's `recipe.json` has what it was
trained with, what was left open and then set included.
"""


def recipe_page() -> str:
    """The page, as Markdown."""
    parts = [_HEAD]
    for title, model, meaning in _TABLES:
        properties = model.model_json_schema()["properties"]
        parts.append(f"\n## {title}\n\n{meaning}\n\n| key | type | default | unit | meaning |\n|---|---|---|---|---|\n")
        for name, field in model.model_fields.items():
            if model is Recipe and name in _NESTED:
                continue
            schema = properties[name]
            cells = (f"`{name}`", _type(schema), _default(field.default), schema.get("unit", ""), field.description)
            parts.append(f"| {' | '.join(str(cell) for cell in cells)} |\n")
    return "".join(parts)


def _type(schema: dict[str, Any]) -> str:
    """A JSON schema's type in words."""
    if "anyOf" in schema:
        kinds = [part for part in schema["anyOf"] if part.get("type") != "null"]
        if kinds == [{"type": "integer"}, {"type": "number"}]:
            kinds = kinds[1:]  # every whole number is a number
        return " or ".join(map(_type, kinds))
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"list of {len(schema['prefixItems'])}: {_type(schema['prefixItems'][0])}"
        return f"list: {_type(schema['items'])}"
    limits = [words.format(f"{schema[key]:g}") for key, words in _LIMITS.items() if key in schema]
    return " ".join([_TYPES[schema["type"]], ", ".join(limits)]).strip()


def _default(value: Any) -> str:
    """A default as TOML; a key without one has to be given."""
    if value is PydanticUndefined:
        return "to be given"
    if value is None:
        return "left out"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return "`[" + ", ".join(_default(item).strip("`") for item in value) + "]`"
    return f"`{value:g}`"
