"""What a device's system has for programs of ours: machine, user-land, C library, page size, room, its Python.

The kernel's machine is not that of its programs: a 64-bit kernel runs 32-bit systems too (Raspberry Pi OS did for
years). So a program says what it is itself: the header of `od`'s own file, and of the Python that would run ours.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ofa_edge.device import runners
from ofa_edge.device.connections.plain_text import one_line
from ofa_edge.device.protocol import Completed, Connection, Fingerprint
from ofa_edge.elf import machine_of
from ofa_edge.errors import DeviceError, DeviceLostError, DeviceRunError, UnsupportedError

_CALL_S, _IMPORT_S = 20.0, 120.0  # a board's first import of a large package reads it from a slow card
_HEADER = ("od", "-A", "n", "-t", "x1", "-N", "20", "/proc/self/exe")
_MOST_WORDS = 400


@dataclass(frozen=True)
class DevicePython:
    """A device's Python.

    Attributes:
        version: (3, 11, 2).
        machine: whose instructions its program is made of: "aarch64", "armv7l".
        bits: 32 or 64.
        managed: whether the system's package manager alone may add packages to it (PEP 668).
        versions: of the distributions that were asked for, by module; "" where the version is not told.
        missing: why a module cannot be had, by module.
    """

    version: tuple[int, ...]
    machine: str
    bits: int
    managed: bool
    versions: Mapping[str, str]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Userland:
    """What programs of ours find on a device; None and "" where it does not tell.

    Attributes:
        machine: of the kernel, as uname says.
        programs: of its own programs; "armv7l" below an "aarch64" kernel is a 32-bit system.
        libc: "glibc 2.36", "musl 1.2.3".
        page: bytes of a memory page.
        free: bytes free where private folders are made.
        python: the interpreter that the devices file names.
        no_python: why there is none.
    """

    machine: str
    programs: str | None
    libc: str
    page: int | None
    free: int | None
    python: DevicePython | None
    no_python: str = ""

    @property
    def glibc(self) -> tuple[int, int] | None:
        """(2, 36); None where it is another library, or not told."""
        found = re.match(r"glibc (\d{1,3})\.(\d{1,3})", self.libc)
        return (int(found[1]), int(found[2])) if found else None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def read_userland(connection: Connection, fingerprint: Fingerprint, modules: Mapping[str, str]) -> Userland:
    """Ask a device what it has.

    Args:
        connection: to it.
        fingerprint: of it.
        modules: of its Python that are looked for, each with the distribution that brings it. They are loaded where
            it is hardware: a library that does not load shows itself no other way.

    Raises:
        DeviceError: the device was lost, or has no room for a folder.
    """
    load = fingerprint.device_kind == "physical" and connection.kind != "local"
    python, facts, why = _python(connection, modules, load)
    libc = str(facts.get("libc", "")) or _libc(connection)
    page = facts.get("page")
    return Userland(
        fingerprint.arch,
        programs_of(connection),
        one_line(libc)[:40],
        page if isinstance(page, int) else page_of(connection),
        _free(connection),
        python,
        why,
    )


def programs_of(connection: Connection) -> str | None:
    """Whose instructions the device's own programs are made of: "aarch64", "armv7l"; None where it does not tell."""
    words = _said(connection, _HEADER).split()
    try:
        found = machine_of(bytes(int(word, 16) for word in words))
    except ValueError:
        return None
    return found[0] if found else None


def page_of(connection: Connection) -> int | None:
    """Bytes of a memory page; None where the device has no `getconf`."""
    found = re.fullmatch(r"\s*(\d{1,9})\s*", _said(connection, ("getconf", "PAGE_SIZE")))
    return int(found[1]) if found else None


def _python(
    connection: Connection, modules: Mapping[str, str], load: bool
) -> tuple[DevicePython | None, dict[str, Any], str]:
    """The Python, what else it said, and why there is none."""
    code = Path(runners.__file__).with_name("python_probe.py").read_text()
    asked = [f"{name}:{distribution}" for name, distribution in modules.items()]
    argv = [*connection.python, "-c", code, "import" if load else "find", *asked]
    try:
        done = connection.run(argv, _IMPORT_S, check=False)
    except (DeviceRunError, UnsupportedError) as error:  # the program is not there
        return None, {}, one_line(f"{error.what}: {error.why}")[:_MOST_WORDS]
    if done.returncode != 0:
        said = one_line(done.stderr.strip() or done.stdout.strip())[-_MOST_WORDS:]
        return None, {}, said or f"exit status {done.returncode}"
    try:
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        machine = machine_of(bytes.fromhex(facts["header"]))
        rows = [(str(name), str(version), reason) for name, version, reason in facts["modules"]]
        python = DevicePython(
            tuple(int(part) for part in facts["version"]),
            machine[0] if machine else "unknown",
            int(facts["bits"]),
            bool(facts["managed"]),
            {name: one_line(version)[:40] for name, version, reason in rows if not reason},
            {name: one_line(str(reason))[:_MOST_WORDS] for name, _, reason in rows if reason},
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        return None, {}, f"it answers {one_line(done.stdout)[:100]!r}"
    return python, facts, ""


def _libc(connection: Connection) -> str:
    """By `getconf`, else by what `ldd` calls itself: musl's prints its name and version, and fails."""
    if said := _said(connection, ("getconf", "GNU_LIBC_VERSION")).strip():
        return said
    done = _ran(connection, ("ldd", "--version"))
    words = f"{done.stdout}\n{done.stderr}" if done else ""
    if musl := re.search(r"^musl libc[^\n]*\nVersion (\d+\.\d+[.\d]*)", words, re.MULTILINE):
        return f"musl {musl[1]}"
    gnu = re.match(r"ldd \([^\n]*\) (\d+\.\d+)\s", words)
    return f"glibc {gnu[1]}" if gnu else ""


def _free(connection: Connection) -> int | None:
    with connection.workdir() as work:
        return free_at(connection, work)


def free_at(connection: Connection, folder: PurePosixPath) -> int | None:
    """Bytes free in a folder of the device; None where it does not tell."""
    said = _said(connection, ("df", "-P", "-k", str(folder)))
    room = re.search(r"^\S+\s+\d+\s+\d+\s+(\d{1,18})\s+\S+\s", said, re.MULTILINE)
    return int(room[1]) * 1024 if room else None


def _said(connection: Connection, argv: Sequence[str]) -> str:
    done = _ran(connection, argv)
    return done.stdout if done and done.returncode == 0 else ""


def _ran(connection: Connection, argv: Sequence[str]) -> Completed | None:
    try:
        return connection.run(argv, _CALL_S, check=False)
    except DeviceLostError:
        raise
    except DeviceError:  # a program that is not there
        return None
