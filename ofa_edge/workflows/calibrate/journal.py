"""Samples of a calibration as they come: JSON lines, each synced before the next run begins, so that nothing is lost.

The first line says which plan they belong to. A last line that a crash cut short is left out; another plan begins anew.
Any other line that cannot be read is measured again, and said; the file as it was is kept beside the new one.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ofa_edge.errors import ConfigError
from ofa_edge.files import append_json, canonical_json, parse_json, read_regular, write_bytes
from ofa_edge.metrics import mad
from ofa_edge.schema import Strict

_SLOWED = 1.15  # a run in which everything was so much slower than usual does not count
_POLISHES = 15
_LEAST_RELATIVE_SE = 0.003  # of a median: what sessions have in common is not seen between them
_LARGEST = 1_000_000_000  # bytes
_ONE_SESSION = 0.03  # relative standard error where one session has to do


@dataclass(frozen=True, eq=False)
class Run:
    """One process's turns.

    Attributes:
        session: which of the plan's sessions it is part of.
        chunk: which part of the items.
        names: of the items.
        ns: nanoseconds of one call [rounds, items]; none where the run was dropped.
        seconds: on the device.
        rounds: that were asked for.
        dropped: why it does not count, "" where it does.
        facts: what the program said about itself.
    """

    session: int
    chunk: int
    names: tuple[str, ...]
    ns: NDArray[np.float64]
    seconds: float
    rounds: int
    dropped: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The line's content; nanoseconds are rounded to whole ones."""
        return {
            "session": self.session,
            "chunk": self.chunk,
            "names": list(self.names),
            "ns": np.rint(self.ns).astype(np.int64).tolist(),
            "seconds": self.seconds,
            "rounds": self.rounds,
            "dropped": self.dropped,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, line: bytes) -> "Run":
        """Inverse of `to_json`, of a line of the file. Raises ValueError: it is damaged."""
        facts = dict(_RunLine.model_validate_json(line))
        return cls(**{**facts, "ns": np.asarray(facts["ns"], np.float64).reshape(-1, len(facts["names"]))})

    @property
    def medians(self) -> NDArray[np.float64]:
        """Milliseconds of each item: the median over rounds, the first left out where there are more."""
        return np.asarray(np.median(self.ns[1:] if len(self.ns) > 1 else self.ns, axis=0) / 1e6)


class _RunLine(Strict):
    """A `Run` as it stands in the file."""

    session: int = Field(ge=0)
    chunk: int = Field(ge=0)
    names: tuple[str, ...] = Field(min_length=1)
    ns: tuple[tuple[Annotated[int, Field(ge=1, lt=1 << 62)], ...], ...]
    seconds: float = Field(ge=0)
    rounds: int = Field(ge=0)
    dropped: str
    facts: dict[str, str]

    @model_validator(mode="after")
    def _rows(self) -> Self:
        if any(len(row) != len(self.names) for row in self.ns):
            raise ValueError("ns has not one figure of each name in every round")
        if not self.ns and not self.dropped:
            raise ValueError("ns has no rounds, and the run was not dropped")
        return self


class Journal:
    """The file of one calibration's runs.

    Attributes:
        path: the file.
        runs: that it holds.
        damaged: numbers of its lines, counted from 1, that could not be read; their runs are missing.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """Go on with the file where its first line is `head`; else begin anew, and lay the file aside as `.old`.

        Raises:
            ConfigError: what stands there cannot be read.
            OutputError: the file cannot be written.
        """
        self.path = path
        self.runs: list[Run] = []
        damaged: list[int] = []
        lines = _lines(path)
        same = bool(lines) and _value(lines[0]) == json.loads(canonical_json(head))
        for number, line in enumerate(lines[1:] if same else (), 2):
            try:
                self.runs.append(Run.from_json(line))
            except ValueError:
                damaged.append(number)
        self.damaged = tuple(damaged)
        if damaged or (lines and not same):
            path.replace(path.with_name(f"{path.name}.{'damaged' if damaged else 'old'}"))
        kept = [head, *(run.to_json() for run in self.runs)]
        write_bytes(path, b"".join(canonical_json(line) + b"\n" for line in kept))  # without a torn last line

    def add(self, run: Run) -> None:
        """Keep one run, whatever happens next. Raises OutputError where it cannot be written down."""
        self.runs.append(run)
        append_json(self.path, run.to_json())

    @property
    def seconds(self) -> float:
        """Spent on the device."""
        return sum(run.seconds for run in self.runs)

    def done(self, session: int, chunk: int) -> bool:
        """Whether a part of a session was measured; one that was lost is tried again."""
        return any((run.session, run.chunk) == (session, chunk) for run in self.runs if not run.dropped)


@dataclass(frozen=True)
class Sampled:
    """One item's latency: median over sessions and its standard error, milliseconds."""

    ms: float
    sd: float
    sessions: int


def slowed(runs: Sequence[Run]) -> list[Run]:
    """Runs in which everything was far slower than in the others: the device was hot, or busy."""
    counted = [run for run in runs if not run.dropped]
    effects = _polish(counted)[1]
    return [run for run, effect in zip(counted, effects, strict=True) if effect > np.log(_SLOWED)]


def sampled(runs: Sequence[Run]) -> dict[str, Sampled]:
    """Each item's latency over the runs that count, what all items of a run have in common taken out.

    A core's frequency and its neighbours change from run to run, and all items of a run alike: a two-way table of items
    and runs, taken apart by median polish (Tukey, Exploratory Data Analysis, 1977). The usual run sets the level.
    """
    slow = slowed(runs)
    values = _polish([run for run in runs if not run.dropped and run not in slow])[0]
    found = {}
    for name, logs in values.items():
        ms = float(np.exp(np.median(logs)))
        error = _ONE_SESSION
        if len(logs) > 1:
            spread = 1.4826 * mad(logs)
            error = max(1.2533 * spread / len(logs) ** 0.5, _LEAST_RELATIVE_SE)
        found[name] = Sampled(ms, error * ms, len(logs))
    return found


def _polish(runs: Sequence[Run]) -> tuple[dict[str, NDArray[np.float64]], list[float]]:
    """ln(ms) of each item in the runs that it was in, their effects taken out; and the effects, 0 the usual one."""
    logs = [np.log(run.medians) for run in runs]
    effects = np.zeros(len(runs))
    values: dict[str, NDArray[np.float64]] = {}
    for _ in range(_POLISHES):
        gathered: dict[str, list[float]] = defaultdict(list)
        for run, own, effect in zip(runs, logs, effects, strict=True):
            for name, value in zip(run.names, (own - effect).tolist(), strict=True):
                gathered[name].append(value)
        values = {name: np.array(each) for name, each in gathered.items()}
        usual = {name: float(np.median(each)) for name, each in values.items()}
        pairs = zip(runs, logs, strict=True)
        effects = np.array([np.median(own - np.array([usual[name] for name in run.names])) for run, own in pairs])
        effects -= np.median(effects) if len(effects) else 0.0
    return values, effects.tolist()


def _lines(path: Path) -> list[bytes]:
    """The whole lines of a file; what a crash left of a last one is none. Raises ConfigError."""
    try:
        content = read_regular(path, _LARGEST)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"cannot read {path.name}", f"{path}: {error.strerror}", "move it away to begin anew"
        ) from error
    return content.split(b"\n")[:-1]


def _value(line: bytes) -> Any:
    try:
        return parse_json(line)
    except ValueError:
        return None
