"""The CPU's frequency policies: where they stand beside what the hardware can do; set to `performance` only as root.

A ceiling is what is allowed now (`scaling_max_freq`), the most what the hardware can do (`cpuinfo_max_freq`). Governors
are put back whatever happens.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, ask, find_files, read_files
from ofa_edge.device.connections.plain_text import one_line, whole_number
from ofa_edge.device.connections.typed import typed
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import OfaEdgeError
from ofa_edge.files import write_bytes

_LOG = logging.getLogger(__name__)
_CPUFREQ = "/sys/devices/system/cpu/cpufreq"
_GOVERNOR, _CEILING = "scaling_governor", "scaling_max_freq"
_READ = (_GOVERNOR, _CEILING, "scaling_driver", "scaling_cur_freq", "cpuinfo_max_freq")
_FASTEST = "performance"
_SLOWEST = "powersave"
_OWN_GOVERNORS = ("intel_pstate", "amd-pstate-epp", "amd-pstate")  # drivers whose "powersave" is the usual one
LEAST_SHARE = 0.99  # of the hardware's own maximum: kernels round
_CALL_S = 20.0


@dataclass(frozen=True)
class Policy:
    """One frequency policy; clocks in kHz, None where they cannot be read."""

    path: str
    governor: str
    driver: str
    now: int | None
    ceiling: int | None
    most: int | None

    @property
    def name(self) -> str:
        """As the kernel calls it: "policy0"."""
        return PurePosixPath(self.path).name

    @property
    def capped(self) -> bool:
        """Whether less is allowed than the hardware can do, as far as both are told."""
        return None not in (self.ceiling, self.most) and (self.ceiling or 0) < LEAST_SHARE * (self.most or 0)

    @property
    def slowest(self) -> bool:
        """Whether its governor keeps it at its lowest clock."""
        return self.governor == _SLOWEST and self.driver not in _OWN_GOVERNORS


def policies(connection: Connection) -> tuple[Policy, ...]:
    """All frequency policies, in order; none where the kernel does not scale frequencies."""
    found = [PurePosixPath(path) for path in find_files(connection, _CPUFREQ, "*")]
    texts = read_files(connection, [str(path) for path in found if path.name in _READ])
    folders = dict.fromkeys(str(path.parent) for path in found if str(path) in texts)

    def number(folder: str, name: str) -> int | None:
        return whole_number(texts.get(f"{folder}/{name}", ""))

    return tuple(
        Policy(
            folder,
            one_line(texts.get(f"{folder}/{_GOVERNOR}", ""))[:40],
            texts.get(f"{folder}/scaling_driver", ""),
            number(folder, "scaling_cur_freq"),
            number(folder, _CEILING),
            number(folder, "cpuinfo_max_freq"),
        )
        for folder in folders
    )


def most_khz(found: Sequence[Policy]) -> int | None:
    """The clock that the fastest core can reach; None where it is not told."""
    return max((each.most for each in found if each.most), default=None)


def clock_facts(found: Sequence[Policy]) -> dict[str, str]:
    """Governor, clock, ceiling beside the hardware's own maximum, in words."""
    names = sorted({each.governor for each in found if each.governor})
    allowed = [each for each in found if each.ceiling is not None]
    now = [each.now for each in found if each.now is not None]
    of = [f"{_ghz(each.ceiling)} of {_ghz(each.most)}" for each in allowed]
    return {
        "governor": ", ".join(names) or NOT_AVAILABLE,
        "clock": ", ".join(map(_ghz, now)) or NOT_AVAILABLE,
        "clock ceiling": ", ".join(of) if of and all(each.most for each in allowed) else NOT_AVAILABLE,
    }


def ceiling_events(found: Sequence[Policy]) -> dict[str, int]:
    """Heat lowers a policy's ceiling; counted so that a fall is a rise."""
    return {f"{each.path}/{_CEILING} below": -each.ceiling for each in found if each.ceiling is not None}


def _ghz(khz: int | None) -> str:
    return "?" if khz is None else f"{khz / 1e6:.2f} GHz"


def clock_faults(connection: Connection, found: Sequence[Policy], passes: bool) -> list[Fault]:
    """Policies that may not reach what the hardware can do; `passes`: heat may have lowered a ceiling."""
    faults = []
    if capped := [each for each in found if each.capped]:
        of = ", ".join(f"{each.name} {_ghz(each.ceiling)} of {_ghz(each.most)}" for each in capped)
        line = "; ".join(f"echo {each.most} | sudo tee {each.path}/{_CEILING}" for each in capped)
        words = f"its clocks are held below what they can be: {of}"
        faults.append(Fault("clock-capped", words, typed(connection, line), passes))
    if slow := [each for each in found if each.slowest]:
        line = f"echo {_FASTEST} | sudo tee {' '.join(f'{each.path}/{_GOVERNOR}' for each in slow)}"
        words = f"governor {_SLOWEST} keeps {', '.join(each.name for each in slow)} at the lowest clock"
        faults.append(Fault("governor-slow", words, typed(connection, line)))
    return faults


def is_root(connection: Connection) -> bool:
    """Whether our programs run as root there."""
    return ask(connection, ["id", "-u"]).strip() == "0"


@contextlib.contextmanager
def fastest(connection: Connection) -> Iterator[None]:
    """Every policy on `performance` where we are root and it is not; as it was at the end. Else nothing is changed."""
    found = {f"{each.path}/{_GOVERNOR}": each.governor for each in policies(connection) if each.governor}
    before = {path: name for path, name in found.items() if name != _FASTEST}
    if not before or not is_root(connection):
        yield
        return
    try:
        _write(connection, dict.fromkeys(before, _FASTEST))
        yield
    finally:
        try:
            _write(connection, before)
        except OfaEdgeError as error:  # must not hide what went wrong inside
            _LOG.warning("%s keeps the governor %s: %s", connection.name, _FASTEST, error.what)


def _write(connection: Connection, wanted: dict[str, str]) -> None:
    """Write words into files of the kernel: no shell and no standard input there, so a file is copied over each."""
    with tempfile.TemporaryDirectory(prefix="ofa-governor-") as here, connection.workdir() as work:
        for word in sorted(set(wanted.values())):
            write_bytes(Path(here) / word, f"{word}\n".encode())
            connection.push(Path(here) / word, work / word)
        for path, word in wanted.items():
            connection.run(["cp", str(work / word), path], _CALL_S)
