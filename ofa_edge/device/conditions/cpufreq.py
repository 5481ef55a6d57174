"""The CPU's frequency policies: their governors, recorded; set to `performance` only as root, and always put back."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ofa_edge.device.conditions.look import ask, find_files, read_files
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import OfaEdgeError
from ofa_edge.files import write_bytes

_LOG = logging.getLogger(__name__)
_CPUFREQ = "/sys/devices/system/cpu/cpufreq"
_FASTEST = "performance"
_CALL_S = 20.0


def governors(connection: Connection) -> dict[str, str]:
    """The governor of each policy, by the file that holds it; none where the kernel does not scale frequencies."""
    return read_files(connection, find_files(connection, _CPUFREQ, "scaling_governor"))


def ceilings(connection: Connection) -> dict[str, int]:
    """The highest frequency that each policy is allowed now, in kHz; heat lowers it."""
    found = read_files(connection, find_files(connection, _CPUFREQ, "scaling_max_freq"))
    return {path: number for path, text in found.items() if (number := whole_number(text)) is not None}


def is_root(connection: Connection) -> bool:
    """Whether our programs run as root there."""
    return ask(connection, ["id", "-u"]).strip() == "0"


@contextlib.contextmanager
def fastest(connection: Connection) -> Iterator[None]:
    """Every policy on `performance` where we are root and it is not; as it was at the end. Else nothing is changed."""
    before = {path: name for path, name in governors(connection).items() if name != _FASTEST}
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
