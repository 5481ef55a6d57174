"""Make a target of imported latency tables: a target file, and a latency file of kind `table`."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.cost import macs
from ofa_edge.errors import ConfigError, SpaceMismatchError, UnsupportedError
from ofa_edge.files import sha256_file, write_bytes
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.lookup_yaml import read_tables
from ofa_edge.latency.protocol import Key, Provenance
from ofa_edge.latency.table import TableModel
from ofa_edge.latency.target_file import RunsAs, check_name, write_target
from ofa_edge.space import Space
from ofa_edge.targets import Target, load_target

_FURTHEST = 100.0  # times the nearest model, either way: no device of its kind differs as much


@dataclass(frozen=True)
class ImportedTable:
    """Tables to be imported, and what must be known about them.

    `log_scatter` is the standard deviation of ln(measured / sum of blocks) of whole networks: tables do not say it.
    """

    name: str
    paths: tuple[Path, ...]
    space: Space
    key: Key
    source: str
    log_scatter: float


def write_table_target(imported: ImportedTable, like: str, folder: Path) -> Path:
    """Write `folder/NAME.toml` and `NAME.latency.json`, and read them back; return the target file.

    Args:
        imported: the tables.
        like: the target whose hardware the new one has.
        folder: made where it is missing; files there are replaced.

    Raises:
        ConfigError: a bad name, damaged tables, missing entries, or figures that are no milliseconds of such hardware.
        SpaceMismatchError: the tables were made for another space.
    """
    check_name(imported.name)
    model, base = _model(imported), load_target(like)
    _check_sense(model, base)
    folder.mkdir(parents=True, exist_ok=True)
    latency, target = (folder / f"{imported.name}{suffix}" for suffix in (".latency.json", ".toml"))
    content = {
        "schema": 2,
        "kind": "table",
        "space": imported.space.hash,
        "resolutions": imported.space.resolutions,
        "models": [
            {
                "key": dataclasses.asdict(model.key),
                "provenance": dataclasses.asdict(model.provenance),
                "tables": {
                    str(size): {name: dataclasses.asdict(entry) for name, entry in sorted(table.items())}
                    for size, table in sorted(model.tables.items())
                },
                "log_scatter": model.log_scatter,
            }
        ],
    }
    write_bytes(latency, (json.dumps(content, indent=1) + "\n").encode())
    key = imported.key
    runs = RunsAs(key.runtime, key.precision, key.threads)
    write_target(target, base, f"{key.device}, by an imported latency table", runs, latency.name)
    return target


def _check_sense(model: TableModel, base: Target) -> None:
    """Refuse tables whose largest network computes faster than the hardware can, or is far from the nearest model."""
    space, key = model.space, model.key
    largest = space.largest()
    ms = float(model.predict(largest).ms)
    work, peak = macs(space, largest), base.hardware.peak_gmacs(key.precision)
    hint = "give milliseconds a block; --like a target of that hardware"
    if not ms > 0 or work / ms / 1e6 > peak:
        units = " (are these seconds?)" if ms * 1000 * peak * 1e6 > work else ""
        raise ConfigError(
            f"no such hardware computes as fast as these tables say{units}",
            f"the largest network of '{space.name}': {work / 1e6:.4g} million MACs in {ms:.4g} ms; {base.name} has "
            f"a peak of {peak:.4g} million a millisecond",
            hint,
        )
    try:
        near = load_latency_model(base, space, key.runtime, key.precision, outside_key=True)
    except (SpaceMismatchError, UnsupportedError):
        return  # the model of another space says nothing about this one
    usual = float(near.predict(largest).ms)
    if not 1 / _FURTHEST < ms / usual < _FURTHEST:
        units = " (are these microseconds?)" if ms > usual else ""
        raise ConfigError(
            f"these tables are {max(ms / usual, usual / ms):.0f} times from the nearest model{units}",
            f"the largest network of '{space.name}' takes {ms:.4g} ms by them and {usual:.4g} ms by {base.name}",
            hint,
        )


def _model(imported: ImportedTable) -> TableModel:
    files = ", ".join(f"{path.name} (SHA-256 {sha256_file(path)[:12]})" for path in imported.paths if path.is_file())
    words = (
        f"Block latencies of {imported.key.device} as imported: {files}. Sums of blocks were not checked against whole "
        f"networks; the interval is assumed, a deviation of {imported.log_scatter:g} of the logarithm."
    )
    provenance = Provenance("published", words, (imported.source,), "ofa-edge latency import")
    tables = read_tables(imported.paths, imported.space)
    return TableModel(imported.space, tables, imported.key, provenance, imported.log_scatter)
