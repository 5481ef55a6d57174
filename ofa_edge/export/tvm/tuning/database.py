"""What tuning found, kept for later builds: one JSON file that any number of processes may use.

A record holds for one computation (`workload_key`) in one *place*: a device, a compilation target, a version of TVM and
of the rules. Another version's records are never used and never in the way.
"""

import contextlib
import datetime
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ofa_edge.errors import OutputError
from ofa_edge.export.tvm.schedules import Knobs
from ofa_edge.files import LARGEST_MODEL, canonical_json, parse_json, read_regular, sha256_bytes, write_json

VARIABLE = "OFA_EDGE_TUNE_DB"
SCHEMA = 1
_FUNCTIONS, _NETWORKS = "functions", "networks"
_ORDERS = ("auto", "rows", "channels")


@dataclass(frozen=True)
class Place:
    """Where times were measured, and of what code.

    Attributes:
        device: model and CPU as the device itself says.
        target: the compilation target with its threads, as canonical JSON.
        tvm: version of TVM.
        rules: digest of the schedule rules.
    """

    device: str
    target: str
    tvm: str
    rules: str


@dataclass(frozen=True)
class TunedFunction:
    """What tuning found for one computation.

    Attributes:
        key: its `workload_key`.
        knobs: to be used; the defaults where nothing was faster.
        default_us: median microseconds of one call with default knobs.
        best_us: with `knobs`.
        ratio: median over paired rounds of best / default; 1 where nothing was faster.
        tried: schedules that were timed.
        is_default: nothing was faster.
        date: ISO 8601.
    """

    key: str
    knobs: Knobs
    default_us: float
    best_us: float
    ratio: float
    tried: int
    is_default: bool
    date: str


@dataclass(frozen=True)
class NetworkVerdict:
    """A whole library with tuned functions against the same without, in turn."""

    ratio: float  # tuned / untuned
    chance: float
    kept: bool
    date: str


def place(device: str, target: Any) -> Place:
    """The place of a device and a `tvm.target.Target` under the TVM and the rules at hand."""
    return Place(device, target_key(target), metadata.version("apache-tvm"), rules_digest())


def target_key(target: Any) -> str:
    """What a target says of its CPU, as canonical JSON."""
    named = {name: target.attrs.get(name) for name in ("mtriple", "mcpu", "mattr", "num-cores")}
    plain = {name: _plain(value) for name, value in named.items() if value is not None}
    return canonical_json(plain).decode()


@functools.cache
def rules_digest() -> str:
    """Digest of the rules' own source: whatever changes there may change what its knobs mean."""
    folder = resources.files("ofa_edge.export.tvm.schedules")
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".py")), key=lambda each: each.name)
    return hashlib.sha256(b"\0".join(each.read_bytes() for each in files)).hexdigest()[:16]


def default_path() -> Path:
    """`$OFA_EDGE_TUNE_DB`, else tuning.json in the user's data folder (`~/.local/share/ofa-edge` on Linux)."""
    import platformdirs

    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("ofa-edge") / "tuning.json"


def today() -> str:
    """Now, as records carry it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()


_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)  # of a record that is none


class Database:
    """One file of records. Reading takes no lock: writes replace the file as a whole."""

    def __init__(self, path: Path) -> None:
        """Args: the file, which need not exist."""
        self.path = path

    def functions(self, where: Place) -> dict[str, TunedFunction]:
        """The records of a place by `workload_key`; damaged ones are left out."""
        found = (_function(each) for each in self._of(_FUNCTIONS, where))
        return {each.key: each for each in found if each is not None}

    def network(self, where: Place, digest: str) -> NetworkVerdict | None:
        """What was seen of a whole network (`choices_digest`), or None."""
        for each in self._of(_NETWORKS, where):
            with contextlib.suppress(*_DAMAGED):
                if each["network"] == digest:
                    ratio, chance = _positive(each["ratio"]), _positive(each["chance"])
                    return NetworkVerdict(ratio, chance, bool(each["kept"]), str(each["date"]))
        return None

    def devices(self, target: Any) -> tuple[str, ...]:
        """Devices on which something was tuned for a target, under this TVM and these rules; the latest first."""
        latest: dict[str, str] = {}
        for each in self._read()[_FUNCTIONS].values():
            with contextlib.suppress(*_DAMAGED):
                where = Place(**each["place"])
                if isinstance(where.device, str) and where == place(where.device, target):
                    latest[where.device] = max(latest.get(where.device, ""), str(each["date"]))
        return tuple(sorted(latest, key=lambda device: (latest[device], device), reverse=True))

    def put(self, where: Place, record: TunedFunction) -> None:
        """Keep a record, over an older one of the same computation and place."""
        self._put(_FUNCTIONS, where, record.key, asdict(record))

    def put_network(self, where: Place, digest: str, verdict: NetworkVerdict) -> None:
        """Keep what was seen of a whole network."""
        self._put(_NETWORKS, where, digest, {"network": digest, **asdict(verdict)})

    def damage(self) -> str | None:
        """What is wrong with the file; None where it is sound or absent."""
        try:
            _check(parse_json(read_regular(self.path, LARGEST_MODEL)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return f"{self.path}: {error}"
        return None

    def _of(self, kind: str, where: Place) -> Iterator[Mapping[str, Any]]:
        wanted = asdict(where)
        return (each for each in self._read()[kind].values() if isinstance(each, dict) and each.get("place") == wanted)

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.path.exists() or self.damage() is not None:
            return {_FUNCTIONS: {}, _NETWORKS: {}}
        content: dict[str, dict[str, Any]] = parse_json(read_regular(self.path, LARGEST_MODEL))
        return content

    def _put(self, kind: str, where: Place, name: str, record: Mapping[str, Any]) -> None:
        from filelock import FileLock

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(self.path.name + ".lock")):
                if self.damage() is not None:  # kept for whoever wants to look
                    self.path.replace(self.path.with_name(self.path.name + ".damaged"))
                content = self._read()
                slot = sha256_bytes(canonical_json([name, asdict(where)]))[:32]
                content[kind][slot] = {**record, "place": asdict(where)}
                write_json(self.path, {"schema": SCHEMA, **{each: content[each] for each in (_FUNCTIONS, _NETWORKS)}})
        except OSError as error:
            raise OutputError(
                "cannot keep what tuning found",
                f"{self.path}: {error.strerror or error}",
                f"set {VARIABLE} to a file that can be written",
            ) from error


def choices_digest(keys: Iterable[str], choices: Mapping[str, Knobs]) -> str:
    """What identifies a tuned network: its functions, and the knobs of those that have their own."""
    return sha256_bytes(canonical_json([sorted(keys), {key: asdict(knobs) for key, knobs in choices.items()}]))


def _check(content: Any) -> None:
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"no tuning database of schema {SCHEMA}")
    if not all(isinstance(content.get(kind), dict) for kind in (_FUNCTIONS, _NETWORKS)):
        raise ValueError(f"no table {_FUNCTIONS} or {_NETWORKS}")


def _function(each: Mapping[str, Any]) -> TunedFunction | None:
    """A record, if every value of it is what it should be: wrong knobs would break the build that takes them."""
    try:
        return TunedFunction(
            key=str(each["key"]),
            knobs=_knobs(each["knobs"]),
            default_us=_positive(each["default_us"]),
            best_us=_positive(each["best_us"]),
            ratio=_positive(each["ratio"]),
            tried=int(each["tried"]),
            is_default=bool(each["is_default"]),
            date=str(each["date"]),
        )
    except _DAMAGED:
        return None


def _positive(value: Any) -> float:
    """A time, a ratio or a probability that can be one."""
    number = float(value)
    if not 0 <= number < 1e12:
        raise ValueError(f"{number} is no figure of a tuning")
    return number


def _knobs(content: Mapping[str, Any]) -> Knobs:
    names = {field.name: field.type for field in fields(Knobs)}
    if set(content) != set(names) or content["order"] not in _ORDERS or not isinstance(content["pack"], bool):
        raise ValueError("no knobs")
    numbers = {name: value for name, value in content.items() if name not in ("order", "pack")}
    if not all(
        isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20 for value in numbers.values()
    ):
        raise ValueError("knobs must be numbers above zero")
    return Knobs(**content)


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(each) for each in value]
    return str(value)
