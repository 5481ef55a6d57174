"""Recipes and presets as TOML files: the shipped ones by name, a user's by path."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.files import bounded_text, parse_toml
from ofa_edge.schema import validated
from ofa_edge.training.recipe import Recipe

_LIST, _HINT = "ofa-edge train --list", "docs/recipe.md describes every key"
_METHOD_ONLY = ("space", "data")  # what a method leaves to a preset


def list_recipes() -> list[str]:
    """Names of the recipes that ship with the package."""
    return _names("recipes")


def list_presets() -> list[str]:
    """Names of the presets that ship with the package."""
    return _names("presets")


def describe_recipes() -> list[tuple[str, str]]:
    """Name and description of each shipped recipe; `*` marks those that need a preset."""
    rows = []
    for name in list_recipes():
        values = _read("recipe", "recipes", name)
        needs = any(key not in values for key in _METHOD_ONLY)
        rows.append((f"{name} *" if needs else name, str(values.get("description", ""))))
    return rows


def describe_presets() -> list[tuple[str, str]]:
    """Name and description of each shipped preset."""
    return [(name, str(_read("preset", "presets", name).get("description", ""))) for name in list_presets()]


def load_recipe(
    name_or_path: str | Path, preset: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """A recipe, joined with a preset.

    Args:
        name_or_path: a shipped recipe, or a TOML file.
        preset: a shipped preset or a TOML file; needed for recipes that hold no space and no data.
        overrides: values that win over both, such as `{"scale": 0.1, "seed": 2}`.

    Raises:
        UnknownNameError: no recipe or preset of that name.
        ConfigError: a file does not fit the schema; the key is named.
    """
    where = name_or_path = str(name_or_path)
    values = _read("recipe", "recipes", where)
    if preset is not None:
        preset = str(preset)
        added = _read("preset", "presets", preset)
        name = f"{values.get('name', Path(name_or_path).stem)}-{added.pop('name', Path(preset).stem)}"
        added.pop("description", None)
        values = {**joined(values, added), "name": name}
        where = f"{name_or_path} with preset {preset}"
    missing = [key for key in _METHOD_ONLY if key not in {**values, **(overrides or {})}]
    if missing and preset is None:
        raise ConfigError(
            f"recipe '{name_or_path}' is a method",
            f"it names no {' and no '.join(missing)}",
            f"add --preset NAME, one of {', '.join(list_presets())}, or [space] and [data] in a file of your own",
        )
    return validated(Recipe, joined(values, overrides or {}), "the recipe", where, _HINT)


def parse_recipe(text: str, where: str) -> Recipe:
    """A whole recipe from TOML text; `where` names it in errors."""
    return validated(Recipe, _parsed(text, where), "the recipe", where, _HINT)


def _names(folder: str) -> list[str]:
    return sorted(Path(item.name).stem for item in _folder(folder).iterdir() if item.name.endswith(".toml"))


def _folder(name: str) -> Traversable:
    return resources.files("ofa_edge.training") / name


def _read(kind: str, folder: str, name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"no such {kind} file", str(path), _LIST)
        try:
            return _parsed(bounded_text(path), name_or_path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the {kind} file", f"{path}: {error}", "save it as UTF-8 text") from error
    if name_or_path not in _names(folder):
        raise UnknownNameError.of(kind, name_or_path, _names(folder), _LIST)
    return _parsed((_folder(folder) / f"{name_or_path}.toml").read_text(encoding="utf-8"), name_or_path)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("not a TOML file", f"{where}: {error}", "check the syntax") from error


def joined(base: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe values with further ones: tables are joined key by key; anything else is replaced."""
    result = dict(base)
    for key, value in added.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = joined(result[key], value) if both else value
    return result
