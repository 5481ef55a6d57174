"""The reference's latency tables as YAML files, one for each resolution: key -> {count, mean, std}, in milliseconds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.errors import ConfigError, OutputError, SpaceMismatchError
from ofa_edge.files import bounded_text, write_bytes
from ofa_edge.latency.entries import LONGEST_MS, Entry, Tables, find
from ofa_edge.latency.protocol import LatencyModel
from ofa_edge.latency.table import TableModel
from ofa_edge.latency.table_keys import all_parts, fixed_parts, require_dialect, resolution_of
from ofa_edge.plain_yaml import read_plain_yaml
from ofa_edge.space import Space

if TYPE_CHECKING:
    from ofa_edge.latency.fitted import FittedModel

_HINT = "give a table as the reference writes them: key: {count: 100, mean: 1.2, std: 0.1}"
_COMPUTES = ("Conv", "expanded_conv")  # pooling and the classifier take microseconds, which some tables round to 0
_OWN_SHARE = 0.5  # of a space's entries: a table that has fewer was made for another one


def read_tables(paths: Sequence[Path], space: Space) -> dict[int, dict[str, Entry]]:
    """Read tables, by resolution.

    Args:
        paths: one file for each resolution; which one follows from its first convolution.
        space: what they must be for.

    Raises:
        ConfigError: not such a table, a latency that is negative or not finite, an entry missing, or two files for one
            resolution.
        SpaceMismatchError: made for another space.
    """
    require_dialect(space)
    tables: dict[int, dict[str, Entry]] = {}
    for path in paths:
        table = read_table(path)
        resolution = resolution_of(iter(table))
        if resolution is None:
            raise ConfigError(
                f"cannot tell which resolution {path.name} is for", f"{path}: no entry 'Conv-input:...'", _HINT
            )
        if resolution in tables:
            raise ConfigError(f"two tables for {resolution} px", f"{path} is the second", "give one of them")
        _check_space(table, space, resolution, path)
        tables[resolution] = table
    return tables


def read_table(path: Path) -> dict[str, Entry]:
    """Read one table. Raises ConfigError: see `read_tables`."""
    import yaml

    try:
        content = read_plain_yaml(bounded_text(path))
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no text, or a number or date that is none
        raise ConfigError(f"cannot read latency table {path.name}", f"{path}: {error}", _HINT) from error
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path.name} is not a latency table", f"{path}: no mapping of keys to latencies", _HINT)
    return {str(key): _entry(str(key), value, path) for key, value in content.items()}


def _entry(key: str, value: Any, path: Path) -> Entry:
    facts = value if isinstance(value, dict) else {"mean": value}
    mean = _number(facts.get("mean"))
    if mean is None or not 0 <= mean <= LONGEST_MS:
        raise ConfigError(
            f"{path.name}: a latency that is not a number of milliseconds",
            f"{path}: {key}: mean = {facts.get('mean')!r}",
            "measure that block again",
        )
    if mean == 0 and key.startswith(_COMPUTES):
        raise ConfigError(
            f"{path.name}: a block that takes no time",
            f"{path}: {key}: mean = 0: it computes something, so it was not measured, or rounded away",
            "measure that block again, in milliseconds with three digits",
        )
    variance, count = _number(facts.get("var")), _number(facts.get("count"))
    std = _number(facts.get("std"))
    if std is None and variance is not None and variance >= 0:
        std = math.sqrt(variance)
    return Entry(
        mean,
        std if std is not None and 0 <= std <= LONGEST_MS else None,
        int(count) if count is not None and 0 <= count < math.inf else None,
    )


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return math.inf


def _check_space(table: Mapping[str, Entry], space: Space, resolution: int, path: Path) -> None:
    """Refuse a table that shares its ends or most of its blocks with no network of the space."""
    keys = [part.key for part in all_parts(space, resolution)]
    known = [key for key in keys if key in table]
    ends = {part.key for part in fixed_parts(space, resolution)} & table.keys()
    if len(known) < _OWN_SHARE * len(keys) or not ends:
        missing = next(key for key in keys if key not in table)
        raise SpaceMismatchError(
            f"{path.name} was made for another search space",
            f"{path}: {len(known)} of the {len(keys)} entries that '{space.name}' asks for; missing: '{missing}'",
            "name the supernet that the table was made for",
        )
    for key in keys:
        find(table, key, resolution)


def tables_of(model: LatencyModel, space: Space) -> dict[int, dict[str, Entry]]:
    """A model as tables. What a call costs goes into the classifier's entry, so that sums are the model's medians."""
    from ofa_edge.latency.analytic import AnalyticModel
    from ofa_edge.latency.fitted import FittedModel
    from ofa_edge.latency.protocol import OutsideKey

    require_dialect(space)
    inner = model.model if isinstance(model, OutsideKey) else model
    if isinstance(inner, TableModel):
        return {r: dict(inner.tables[r]) for r in space.resolutions if r in inner.tables}
    if isinstance(inner, FittedModel):
        return _fitted_tables(inner, space)
    if not isinstance(inner, AnalyticModel):
        raise ConfigError("this model cannot be written as a table", f"it is {model.kind}", "export another model")
    coefficients, tables = inner.coefficients, {}
    for resolution in space.resolutions:
        last = fixed_parts(space, resolution)[-1].key
        tables[resolution] = {
            part.key: Entry(float(coefficients.predict(part.operators, whole=part.key == last).ms))
            for part in all_parts(space, resolution)
        }
    return tables


def _fitted_tables(model: "FittedModel", space: Space) -> dict[int, dict[str, Entry]]:
    """A fitted model as tables: stem and head are units, so their entries share them as the analytic prior does."""
    tables: dict[int, dict[str, Entry]] = {}
    for resolution in space.resolutions:
        fixed = fixed_parts(space, resolution)
        table = tables[resolution] = {
            part.key: Entry(model.unit_ms("block", part.operators))
            for part in all_parts(space, resolution)
            if part not in fixed
        }
        for kind, parts in (("stem", fixed[:2]), ("head", fixed[2:])):
            operators = tuple(operator for part in parts for operator in part.operators)
            likely = [float(model.prior.predict(part.operators, whole=False).ms) for part in parts]
            each = model.unit_ms(kind, operators) / sum(likely)  # type: ignore[arg-type]  # one of the words that it takes
            table |= {part.key: Entry(each * ms) for part, ms in zip(parts, likely, strict=True)}
        last = fixed[-1].key
        table[last] = Entry(table[last].mean + model.unit_ms("call"))
    return tables


def write_tables(folder: Path, tables: Tables) -> list[Path]:
    """Write `folder/RESOLUTION_lookup_table.yaml`, as the reference names them; return the files."""
    import yaml

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is not a folder", "tables go into one", "give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for resolution, table in sorted(tables.items()):
        content = {
            key: {
                name: value
                for name, value in (("count", item.count), ("mean", item.mean), ("std", item.std))
                if value is not None
            }
            for key, item in table.items()
        }
        path = folder / f"{resolution}_lookup_table.yaml"
        write_bytes(path, yaml.safe_dump(content, sort_keys=True, width=200).encode())
        written.append(path)
    return written
