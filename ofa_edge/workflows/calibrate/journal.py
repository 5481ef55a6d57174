"""Samples of a calibration as they come: JSON lines, each synced before the next run begins, so that nothing is lost.

The first line says which plan they belong to. A line that a crash cut short is left out; another plan begins anew.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.files import append_json, canonical_json, write_bytes
from ofa_edge.metrics import mad

_SLOWED = 1.15  # a run in which everything was so much slower than usual does not count
_POLISHES = 15
_LEAST_RELATIVE_SE = 0.003  # of a median: what sessions have in common is not seen between them
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
    def from_json(cls, value: Mapping[str, Any]) -> "Run":
        """Inverse of `to_json`."""
        names = tuple(value["names"])
        ns = np.asarray(value["ns"], np.float64).reshape(-1, len(names))
        facts = {name: value[name] for name in ("session", "chunk", "seconds", "rounds", "dropped", "facts")}
        return cls(names=names, ns=ns, **facts)

    @property
    def medians(self) -> NDArray[np.float64]:
        """Milliseconds of each item: the median over rounds, the first left out where there are more."""
        return np.asarray(np.median(self.ns[1:] if len(self.ns) > 1 else self.ns, axis=0) / 1e6)


class Journal:
    """The file of one calibration's runs."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """Go on with the file where its first line is `head`; else begin anew, and lay the file aside as `.old`."""
        self.path = path
        self.runs: list[Run] = []
        lines = _lines(path)
        if lines and lines[0] == json.loads(canonical_json(head)):
            for line in lines[1:]:
                self.runs.append(Run.from_json(line))
            kept = [head, *(run.to_json() for run in self.runs)]
        else:
            kept = [head]
            if lines:
                path.replace(path.with_name(f"{path.name}.old"))
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


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file, up to the first that cannot be read."""
    found: list[dict[str, Any]] = []
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    for line in content.split(b"\n")[:-1]:
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found
