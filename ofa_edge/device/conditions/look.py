"""One look at a device: what stands in the way of measuring it, what slowed it down, what is worth recording."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from ofa_edge.device.connections.fingerprint import split_heads
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import DeviceRunError

NOT_AVAILABLE = "not available"  # the words of a fact that the device does not tell
_CALL_S = 20.0
_THERMAL = "/sys/class/thermal"
_ANY = "/proc/uptime"
_CONSTANT = ("PMIC-Die",)  # of Jetsons: 50 or 100 degrees, always


@dataclass(frozen=True)
class Fault:
    """Why a device may not be measured now: a reason code, the reason in words, whether it passes by itself."""

    code: str
    words: str
    hint: str
    passes: bool = False


@dataclass(frozen=True)
class Look:
    """What one look at a device found.

    Attributes:
        faults: what stands in the way of measuring.
        slowed: whether the device says that it is held back right now.
        events: counters or bits that only a slow-down raises.
        settings: what must not change during a session.
        facts: what is worth recording, in words.
        warnings: what makes a measurement worse without making it false.
        most_khz: the clock that its fastest core can reach; None where it does not tell.
    """

    faults: tuple[Fault, ...] = ()
    slowed: bool = False
    events: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    most_khz: int | None = None


class Family(Protocol):
    """Devices that are asked the same way."""

    @property
    def name(self) -> str:
        """As reports call it."""

    def look(self) -> Look:
        """Ask the device how it is."""

    def held(self) -> AbstractContextManager[None]:
        """Clocks and governor as measuring needs them, and as they were at the end."""


def ask(connection: Connection, argv: Sequence[str]) -> str:
    """What a program on the device prints; "" where it fails or is not there."""
    with contextlib.suppress(DeviceRunError):  # a program that cannot be started
        done = connection.run(argv, _CALL_S, check=False)
        return done.stdout if done.returncode == 0 else ""
    return ""


def read_files(connection: Connection, paths: Sequence[str]) -> dict[str, str]:
    """Small files of the device by path, stripped; those that are not there are left out."""
    if not paths:
        return {}
    with contextlib.suppress(DeviceRunError):
        # Android's head has no -v, and prints names only where it is given several files.
        said = connection.run(["head", "-n", "9", *paths, _ANY], _CALL_S, check=False).stdout
        return {path: text.strip("\0\n ") for path, text in split_heads(said).items() if path != _ANY}
    return {}


def find_files(connection: Connection, folder: str, name: str) -> list[str]:
    """Files of that name in a folder of the device and the folders in it, in order."""
    return sorted(ask_any(connection, ["find", "-L", folder, "-maxdepth", "2", "-name", name]).split())


def ask_any(connection: Connection, argv: Sequence[str]) -> str:
    """The same as `ask`, whatever the exit status: `find` fails for one folder that it may not read."""
    with contextlib.suppress(DeviceRunError):
        return connection.run(argv, _CALL_S, check=False).stdout
    return ""


def hottest_c(connection: Connection) -> float | None:
    """The hottest of the kernel's thermal zones in degrees Celsius; None where none can be read."""
    zones = find_files(connection, _THERMAL, "temp")
    kinds = [zone.removesuffix("temp") + "type" for zone in zones]
    files = read_files(connection, [*zones, *kinds])
    found = [
        int(files[zone]) / 1000  # at most seven digits
        for zone, kind in zip(zones, kinds, strict=True)
        if re.fullmatch(r"-?[0-9]{1,7}", files.get(zone, "")) and files.get(kind) not in _CONSTANT
    ]
    # Zones of sensors that are switched off say 0, or -273 degrees.
    return max((value for value in found if 0 < value < 150), default=None)
