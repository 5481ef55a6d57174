"""The base of everything that is read from a file, how values are checked against it, and what is wrong in words."""

import dataclasses
import difflib
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ofa_edge.errors import ConfigError

_MOST_FAULTS = 5  # of one file that are told
_LONGEST_VALUE = 60  # letters of a value that are shown
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass in one
_BRANCHES = ("[key]", "int", "float", "str", "bool")  # pydantic's words for a dictionary's key and parts of a union


class Strict(BaseModel):
    """Frozen: no unknown keys, no conversion of types, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, what: str, where: object, hint: str, *, prefix: str = "") -> Model:
    """Check plain values, as a TOML or JSON file holds them: arrays may fill tuples.

    Args:
        model: the schema.
        values: the file's content, or a table of it.
        what: what does not fit its schema, for the error: "target file x.toml".
        where: the file.
        hint: what to try.
        prefix: the dotted table that the values stand in, with a dot at its end.

    Raises:
        ConfigError: they do not fit; names each key, the nearest known one, its value, and what is wrong.
    """
    try:
        return model.model_validate_json(json.dumps(values, default=str))
    except (RecursionError, ValueError, OverflowError) as error:  # ValidationError is a ValueError
        told = "nested too deeply, or a number beyond all bounds"
        said = f"{where}: {explain(error, model, prefix) if isinstance(error, ValidationError) else told}"
        raise ConfigError(f"{what} does not fit its schema", said, hint) from error


def changed(model: Model, **values: Any) -> Model:
    """A copy with other values, checked as a whole as the original was."""
    fields = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model).model_validate({**fields, **values}, by_alias=False, by_name=True)


def explain(error: ValidationError, model: type[BaseModel] | None = None, prefix: str = "") -> str:
    """The faults of a file in words: dotted keys, and what is wrong with each; with a schema, the nearest known key."""
    faults = list(dict.fromkeys(_fault(item, model, prefix) for item in error.errors(include_url=False)))
    more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
    return "; ".join(faults[:_MOST_FAULTS] + more)


def _fault(item: Mapping[str, Any], model: type[BaseModel] | None, prefix: str) -> str:
    parts = [part for part in item["loc"] if part not in _BRANCHES and not str(part).startswith("constrained-")]
    key = prefix + ".".join(map(str, parts))
    if item["type"] in _UNKNOWN:
        near = nearest_key(model, parts) if model else None
        return f"unknown key '{key}'" + (f"; nearest known key: '{prefix}{near}'" if near else "")
    if item["type"] == "missing":
        return f"missing key '{key}'"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error" or not key:
        return f"{key}: {message}" if key else message
    value = json.dumps(item["input"], default=str)
    short = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
    return f"{key} = {short}: {message}"


def nearest_key(model: type[BaseModel], location: Sequence[int | str]) -> str | None:
    """The known dotted key nearest to one: of the same table, else of that name in any table."""
    *table, leaf = map(str, location)
    tables: list[type] = [model]
    where = ""
    for part in table:
        where += f"{part}."
        inner = [found for each in tables for name, found in _fields(each) if name == part]
        tables = [each for kinds in inner for each in kinds] if inner else tables
    siblings = {name: where + name for each in tables for name, _ in _fields(each)}
    known = list(known_keys(model))
    anywhere = {name.rpartition(".")[2]: name for name in reversed(known)}
    for names in (siblings, anywhere):
        if near := difflib.get_close_matches(leaf, names, n=1, cutoff=0.6):
            return names[near[0]]
    return next(iter(difflib.get_close_matches(".".join([*table, leaf]), known, n=1, cutoff=0.6)), None)


def known_keys(model: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema; what a user names or numbers (`devices.NAME`) is left out of the path."""
    for name, inner in _fields(model):
        yield prefix + name
        for each in inner:
            yield from known_keys(each, f"{prefix}{name}.")


def _fields(table: type) -> Iterator[tuple[str, list[type]]]:
    """Each key of a table, and the tables that it may hold."""
    if issubclass(table, BaseModel):
        found = [(field.alias or name, field.annotation) for name, field in table.model_fields.items()]
    else:
        found = list(typing.get_type_hints(table).items())
    for name, annotation in found:
        yield name, list(_tables(annotation))


def _tables(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _tables(part)
