"""Write a target file beside a latency file that was measured or imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofa_edge.files import write_bytes
from ofa_edge.names import require_plain
from ofa_edge.targets import Target, read_target


@dataclass(frozen=True)
class RunsAs:
    """The one runtime, precision and number of threads that a latency file holds for.

    `cores` are those that the threads were kept on while measured; () for any. `tables` are what the runtime has to
    know of the target besides (`Runtime.target_tables`). `further` are other precisions that may be built.
    """

    runtime: str
    precision: str
    threads: int
    cores: tuple[int, ...] = ()
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    further: tuple[str, ...] = ()


def check_name(name: str) -> None:
    """Raise ConfigError for what cannot name a target."""
    require_plain("target", name, "--name", "--name note10")


def write_target(path: Path, base: Target, description: str, runs: RunsAs, latency: str) -> Target:
    """Write a target that has the hardware of `base`, and the latency file `latency` beside it; read it back.

    What `base` says about the hardware and about what may be built for it stays: identity, bans, sustained speed.

    Raises:
        ConfigError: the values contradict each other.
        OutputError: `path` cannot be written.
    """
    runtime: dict[str, Any] = {
        "kind": runs.runtime,
        "threads": runs.threads,
        "precisions": [runs.precision, *runs.further],
    }
    if runs.cores:
        runtime["cores"] = runs.cores
    tables: dict[str, dict[str, Any]] = {
        "hardware": base.hardware.model_dump(exclude_none=True),
        "runtime": runtime,
        "defaults": {"precision": runs.precision, "relative_budget": base.defaults.relative_budget},
        "latency_model": {"file": latency},
    }
    tables |= {name: dict(table) for name, table in runs.tables.items()}
    kept = {"search": base.search, "emulation": base.emulation, "identity": base.identity, "sustained": base.sustained}
    for name, own in kept.items():
        facts = own.model_dump(exclude_defaults=True) if own is not None else {}
        if facts:
            tables[name] = facts
    lines = ["schema = 1", f"description = {_toml(description)}"]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{field} = {_toml(value)}" for field, value in table.items())]
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    return read_target(path)


def _toml(value: Any) -> str:
    """Strings, numbers and lists are written alike in JSON and TOML; tables are not."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
