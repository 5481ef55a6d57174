"""The history: JSON lines, one synced line for each run, never changed.

Lines rather than a database: a run writes one record of some kilobytes a night, so nothing needs an index; one file can
be read with any tool, travels with a CI cache, and works on network drives, where SQLite's write-ahead log does not.
A night that a crash cut short while it was written does not count, and the next starts on a line of its own. Any other
line that cannot be read may have been a baseline: what was golden before it is not taken for golden after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from ofa_edge.errors import ConfigError
from ofa_edge.files import append_json, read_regular
from ofa_edge.records.night import HISTORY_RECORD, BaselineRecord, NightRecord
from ofa_edge.schema import explain

_LARGEST = 1_000_000_000  # bytes; a night has some kilobytes


@dataclass(frozen=True)
class History:
    """What a history file holds, oldest first.

    Attributes:
        path: the file.
        nights, baselines: the records.
        lines: of each baseline its line's number, counted from 1.
        torn: numbers of the lines that end in the middle of a night: a crash cut them short.
        damaged: numbers of all other lines that cannot be read.
    """

    path: Path
    nights: tuple[NightRecord, ...] = ()
    baselines: tuple[BaselineRecord, ...] = ()
    lines: tuple[int, ...] = ()
    torn: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()

    def golden(self, artifact: str) -> BaselineRecord | None:
        """The baseline that holds for an artifact, None where nothing was accepted.

        Raises:
            DamagedHistoryError: a line after it cannot be read, which may have been a later one.
        """
        numbered = zip(self.lines, self.baselines, strict=True)
        line, found = max(((line, item) for line, item in numbered if item.artifact == artifact), default=(0, None))
        doubtful = [number for number in self.damaged if number > line]
        if doubtful:
            raise DamagedHistoryError(
                f"no golden of '{artifact}' can be trusted",
                f"{self.path}:{doubtful[0]} cannot be read, and may have said which one holds",
                "restore the file from a copy, accept a golden again, or remove the line to do without it",
            )
        return found


class DamagedHistoryError(ConfigError):
    """What holds cannot be told, for a line that would say so cannot be read."""


def read_history(path: Path) -> History:
    """Read a history; an absent file is an empty one.

    Raises:
        ConfigError: the file cannot be read, or whole lines of it are from another version.
    """
    try:
        data = read_regular(path, _LARGEST)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise ConfigError(
            f"cannot read {path.name}", f"{path.parent}: {error.strerror}", "check the fleet file's 'folder'"
        ) from error
    nights: list[NightRecord] = []
    baselines: list[tuple[int, BaselineRecord]] = []
    torn: list[int] = []
    damaged: list[int] = []
    for number, line in _lines(data):
        record = _record(line, path, number)
        if record is None:
            (torn if _is_cut_night(line) else damaged).append(number)
        elif isinstance(record, NightRecord):
            nights.append(record)
        else:
            baselines.append((number, record))
    lines, accepted = zip(*baselines, strict=True) if baselines else ((), ())
    return History(path, tuple(nights), accepted, lines, tuple(torn), tuple(damaged))


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
    """The record of a line; None for a line that is no JSON."""
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


def _is_cut_night(line: bytes) -> bool:
    """Whether a line is the beginning of a night and nothing else: no write that a crash cut short leaves more."""
    if not line.startswith(b'{"at":') or b'"kind":"baseline"' in line:
        return False
    try:
        from_json(line)
    except ValueError as error:
        return str(error).startswith("EOF while parsing")
    return False
