"""What an artifact's runtime needs of a device, and what a device lacks of it: told before any work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ofa_edge.device.connections.typed import pip_install, typed
from ofa_edge.device.connections.userland import DevicePython, Userland, read_userland
from ofa_edge.device.emulation.sysroot import sysroot_path
from ofa_edge.device.protocol import Connection
from ofa_edge.device.wheels import Distribution
from ofa_edge.errors import DeviceRunError, OfaEdgeError, ToolMissingError, UnsupportedError
from ofa_edge.shown import pasteable

OLDEST_PYTHON = (3, 9)
LEAST_ROOM = 32 << 20  # bytes: a runner with its libraries takes 6 MB, an artifact and its images the rest
_ARM32 = "armv7l"
_NARROW = (_ARM32, "i386")  # 32-bit programs


@dataclass(frozen=True)
class Needs:
    """What has to be on a device.

    Attributes:
        modules: of its Python, each with the distribution that brings it; none: no Python is needed.
        machine: whose machine code the artifact and its program are; None where they are none.
        glibc: the oldest with which that code loads.
    """

    modules: Mapping[str, Distribution] = field(default_factory=lambda: MappingProxyType({}))
    machine: str | None = None
    glibc: tuple[int, int] | None = None

    @property
    def names(self) -> dict[str, str]:
        """Names of the distributions by module."""
        return {module: of.name for module, of in self.modules.items()}


@dataclass(frozen=True)
class Lack:
    """What a device does not have.

    Attributes:
        kind: "machine", "glibc", "python", "module", "room".
        what: after the device's name: "has no ai-edge-litert".
        why: what was found there.
        fix: what to do, for that device.
    """

    kind: str
    what: str
    why: str
    fix: str


_ERRORS: Mapping[str, type[OfaEdgeError]] = {
    "machine": UnsupportedError,
    "glibc": UnsupportedError,
    "python": ToolMissingError,
    "module": ToolMissingError,
    "room": DeviceRunError,
}
_seen: set[tuple[object, ...]] = set()  # emulated systems that lack nothing: we made them, and they stay as they are


def require(connection: Connection, needs: Needs) -> None:
    """Raise, before any work, for what a device lacks.

    Raises:
        ToolMissingError: a Python, or a module of it.
        UnsupportedError: it is of another machine, or its C library is too old.
        DeviceError: it was lost, or is full.
    """
    fingerprint = connection.fingerprint()
    key = (connection.kind, fingerprint.cpu, fingerprint.emulator, tuple(sorted(needs.modules)), needs.machine)
    if fingerprint.emulator is not None and key in _seen:
        return
    found = lacks(connection, read_userland(connection, fingerprint, needs.names), needs)
    if found:
        first, *others = found
        also = f"; besides, it {', '.join(each.what for each in others)}" if others else ""
        raise _ERRORS[first.kind](f"{connection.name} {first.what}", first.why + also, first.fix)
    if fingerprint.emulator is not None:
        _seen.add(key)


def lacks(connection: Connection, has: Userland, needs: Needs) -> tuple[Lack, ...]:
    """All that a device lacks, the gravest first."""
    checks: tuple[Callable[[Connection, Userland, Needs], list[Lack]], ...] = (_machine, _glibc, _python, _room)
    return tuple(lack for check in checks for lack in check(connection, has, needs))


def machine_kind(machine: str) -> str:
    """A machine as its programs are told apart: what the kernel calls armv6l to armv8l is 32-bit Arm."""
    return _ARM32 if machine.startswith("arm") and not machine.startswith("arm64") else machine


def runs_code_of(has: Userland, machine: str) -> bool:
    """Whether the device's own programs are of that machine, as far as it tells."""
    return machine_kind(has.programs or has.machine) == machine_kind(machine)


def _machine(connection: Connection, has: Userland, needs: Needs) -> list[Lack]:
    if needs.machine is None or runs_code_of(has, needs.machine):
        return []
    if has.programs in _NARROW and machine_kind(has.machine) == needs.machine:
        why = f"its kernel is {has.machine}, its programs are {has.programs}: a 32-bit system"
        fix = f"install the 64-bit system on {connection.name}, or --runtime tflite with a 64-bit Python there"
        return [Lack("machine", f"runs no {needs.machine} programs", why, fix)]
    why = f"it is {has.programs or has.machine}, and the artifact is for {needs.machine}"
    return [Lack("machine", f"runs no {needs.machine} programs", why, "another --target, or a device of that target")]


def _glibc(connection: Connection, has: Userland, needs: Needs) -> list[Lack]:
    if needs.glibc is None or not has.libc or (has.glibc is not None and has.glibc >= needs.glibc):
        return []
    least = ".".join(map(str, needs.glibc))
    why = f"it has {has.libc}, and the runner's libraries need glibc {least}"
    fix = f"a newer system on {connection.name}, with glibc {least} or newer"
    return [Lack("glibc", "does not load the runner", why, fix)]


def _python(connection: Connection, has: Userland, needs: Needs) -> list[Lack]:
    if not needs.modules:
        return []
    python, named = has.python, " ".join(connection.python)
    if python is None:
        fix = f"{typed(connection, 'sudo apt install python3 python3-venv')}; or name another, {_named(connection)}"
        return [Lack("python", f"has no Python that starts as {named}", has.no_python, fix)]
    version = ".".join(map(str, python.version))
    if python.version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        why = f"{named} is Python {version}; the runner needs {oldest} or newer"
        fix = f"install a newer one on {connection.name}, and name it, {_named(connection)}"
        return [Lack("python", "has too old a Python", why, fix)]
    return [
        _module(connection, has, python, module, of) for module, of in needs.modules.items() if module in python.missing
    ]


def _module(connection: Connection, has: Userland, python: DevicePython, module: str, of: Distribution) -> Lack:
    version = ".".join(map(str, python.version))
    said, named = python.missing[module], " ".join(connection.python)
    why = f"{named} (Python {version}, {python.machine}): {said}"
    absent = said.startswith(("No module", "ModuleNotFound", "ImportError: No module"))
    what = f"has no {of.name}" if absent else f"cannot load {of.name}"
    if connection.kind == "emulated":
        return Lack("module", what, why, f"{pasteable('rm', '-r', sysroot_path())}: the next run makes it anew")
    try:
        wheel = of.wheel(python.machine, python.version, has.libc, has.glibc)
    except LookupError as error:
        return Lack("module", what, f"{why}; {error}", _without_wheel(connection, python))
    requirement = f"{of.name}=={wheel}" if wheel else of.name
    if not python.managed:
        return Lack("module", what, why, typed(connection, pip_install(connection.python, requirement)))
    # PEP 668: its system keeps that Python, and a folder beside it is where packages of one's own go.
    line = f"python3 -m venv litert && {pip_install(('litert/bin/python',), requirement)}"
    return Lack("module", what, why, f"{typed(connection, line)}; then {_named(connection, 'litert/bin/python')}")


def _without_wheel(connection: Connection, python: DevicePython) -> str:
    if python.bits == 32:
        return f"install a 64-bit system on {connection.name}: no command installs it on this one"
    return f"another Python on {connection.name}, {_named(connection)}, or --runtime tvm, which needs none"


def _named(connection: Connection, python: str = "/path/to/python") -> str:
    return f'python = "{python}" in [devices.{connection.name}] of the devices file'


def _room(connection: Connection, has: Userland, needs: Needs) -> list[Lack]:
    del needs
    if has.free is None or has.free >= LEAST_ROOM:
        return []
    folder = getattr(connection, "folder", "its folder")
    why = f"{has.free >> 10} KiB are free in {folder}; a run takes {LEAST_ROOM >> 20} MiB"
    fix = f'{typed(connection, f"df -h {folder}")} shows it: free some, or name another: folder = "/var/tmp"'
    return [Lack("room", "has no room for a run", why, fix)]
