"""The adb server that a connection talks to, which devices it knows, and what to do about those it cannot use."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConfigError, ToolMissingError
from ofa_edge.shown import pasteable

SERIAL = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]*")
_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]*")
# What adb says when it is the way to the device that failed, not the command. Where no state explains it, this does.
_BROKEN = re.compile(
    r"closed|EOF|not found|offline|unauthorized|no devices|more than one|connect failed|cannot connect|protocol fault"
    r"|broken pipe|connection reset|still (connecting|authorizing)|insufficient permissions|daemon",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class AdbServer:
    """How to reach an adb server. The default is the one that the user's own `adb` talks to.

    Attributes:
        port: of a private server, or None.
        home: where a private server keeps its keys, or None for the user's own.
        own: whether it is ours: then it is stopped at the end.
    """

    port: int | None = None
    home: Path | None = None
    own: bool = False

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base`, with what makes adb talk to this server."""
        # The user's choice of a device must not overrule ours.
        changed = {key: value for key, value in base.items() if key != "ANDROID_SERIAL"}
        if self.port is not None:
            changed |= {"ANDROID_ADB_SERVER_PORT": str(self.port)}
        if self.home is not None:
            changed |= {"HOME": str(self.home)}
        return changed


@dataclass(frozen=True)
class AdbAddress:
    """Which device: by serial number, by network address, or the only one that is there.

    Raises:
        ConfigError: a serial or host that adb could take for an option, or both of them.
    """

    serial: str | None = None
    host: str | None = None
    port: int = 5555
    server: AdbServer = AdbServer()

    def __post_init__(self) -> None:
        for key, value, pattern in (("serial", self.serial, SERIAL), ("host", self.host, _HOST)):
            if value is not None and not pattern.fullmatch(value):
                raise ConfigError(f"not a {key}: {value!r}", f"key '{key}' of an adb device", "adb devices -l")
        if self.serial is not None and self.host is not None:
            raise ConfigError("both a serial and a host", "an adb device has one of them", "leave one of them out")

    @property
    def network(self) -> str | None:
        """`host:port` for `adb connect`, or None."""
        if self.host is None:
            return None
        literal = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"{literal}:{self.port}"


def find_adb(device: str) -> str:
    """The adb client.

    Raises:
        ToolMissingError: it is not installed.
    """
    found = shutil.which("adb")
    if found is None:
        raise ToolMissingError("adb is not installed", f"device '{device}' needs it", "apt install adb")
    return found


def parse_devices(text: str) -> dict[str, str]:
    r"""Serial to state, from what `adb devices` prints.

    >>> parse_devices("List of devices attached\n1234\tdevice\nab\tno permissions (udev?); see x\n")
    {'1234': 'device', 'ab': 'no permissions'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        serial, tab, state = line.partition("\t")
        if tab and serial:
            found[serial] = "no permissions" if state.startswith("no permissions") else state.strip()
    return found


def is_transport_failure(said: str) -> bool:
    """Whether a message of adb's speaks of the way to the device."""
    return _BROKEN.search(said) is not None and "remote " not in said


def trouble(serial: str, state: str | None, said: str) -> tuple[str, str]:
    """Why a device cannot be used, and what to do, from its state in `adb devices` (None: it is not listed)."""
    adb = pasteable("adb", "-s", serial)
    fixes = {
        "unauthorized": (
            "the device does not trust this computer",
            "unlock it and accept 'Allow USB debugging'; no dialogue? Developer options, Revoke, and plug it in again",
        ),
        "authorizing": ("the device is still asking its user", "unlock it and accept 'Allow USB debugging'"),
        "connecting": ("adb is still connecting to it", "wait a moment, then run the same command again"),
        "offline": (
            "adb sees it but it does not answer",
            f"plug it in again, or: {adb} reconnect; over the network: {pasteable('adb', 'disconnect', serial)}",
        ),
        "no permissions": (
            "this user may not open the USB device",
            "apt install android-sdk-platform-tools-common, join group plugdev, log in again, plug it in again",
        ),
        "recovery": ("it is in recovery", f"{adb} reboot"),
        "sideload": ("it is waiting for an update", f"{adb} reboot"),
        "bootloader": ("it is in its bootloader", "fastboot reboot"),
    }
    if state is None:
        return (
            f"adb does not list {serial}" + (f" ({said})" if said else ""),
            "is it plugged in (a cable that carries data), with USB debugging on? adb devices -l",
        )
    if state in fixes:
        return fixes[state]
    return (said or f"its state is '{state}'", "adb devices -l, then run the same command again")
