"""The history: JSON lines, one synced line for each run, never changed.

Lines rather than a database: a run writes one record of some kilobytes a night, so nothing needs an index; one file can
be read with any tool, travels with a CI cache, and works on network drives, where SQLite's write-ahead log does not.
A line is whole or it does not count: one that a crash cut short is skipped, and the next starts on a line of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ofa_edge.errors import ConfigError
from ofa_edge.files import append_json
from ofa_edge.records.night import HISTORY_RECORD, BaselineRecord, NightRecord
from ofa_edge.schema import explain


@dataclass(frozen=True)
class History:
    """What a history file holds, oldest first.

    Attributes:
        nights, baselines: the records.
        torn: numbers of the lines that are no whole record, counted from 1.
    """

    nights: tuple[NightRecord, ...] = ()
    baselines: tuple[BaselineRecord, ...] = ()
    torn: tuple[int, ...] = ()

    def golden(self, artifact: str) -> BaselineRecord | None:
        """The baseline that holds for an artifact."""
        return next((item for item in reversed(self.baselines) if item.artifact == artifact), None)


def read_history(path: Path) -> History:
    """Read a history; an absent file is an empty one.

    Raises:
        ConfigError: the file cannot be read, or whole lines of it are from another version.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(
            f"cannot read {path.name}", f"{path.parent}: {error.strerror}", "check the fleet file's 'folder'"
        ) from error
    nights: list[NightRecord] = []
    baselines: list[BaselineRecord] = []
    torn: list[int] = []
    for number, line in _lines(data):
        record = _record(line, path, number)
        if record is None:
            torn.append(number)
        elif isinstance(record, NightRecord):
            nights.append(record)
        else:
            baselines.append(record)
    return History(tuple(nights), tuple(baselines), tuple(torn))


def append(path: Path, record: NightRecord | BaselineRecord) -> None:
    """Add one record: one line, one write, synced before this returns. Holds the file against another writer.

    Raises:
        OutputError: the disk is full, or the file cannot be written. What it held before is not touched.
    """
    append_json(path, record.model_dump(mode="json"))


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty; of the last, the end may be missing."""
    return ((number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip())


def _record(line: bytes, path: Path, number: int) -> NightRecord | BaselineRecord | None:
    """The record of a line; None for a line that was cut short."""
    try:
        return HISTORY_RECORD.validate_json(line)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None
        raise ConfigError(
            f"{path.name} is not a history of this version",
            f"{path}:{number}: {explain(error)}",
            "use the ofa-edge that wrote it, or another folder",
        ) from error
