"""The kinds of table in a devices file: what each may say, and the connection that it describes.

A kind of somebody else's is an entry point of the group `ofa_edge.connections`: its name is the kind, and it is called
with the device's name and the table's other keys. It checks them and gives a `Connection`, or raises `ConfigError`.
"""

import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, field_validator

from ofa_edge.device.conditions.identity import Expected
from ofa_edge.device.connections.adb import ANDROID_FOLDER, AdbConnection
from ofa_edge.device.connections.adb_server import AdbAddress, AdbServer
from ofa_edge.device.connections.ssh import SshAddress, SshConnection
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import ConfigError, OfaEdgeError
from ofa_edge.schema import Strict

ENTRY_POINTS = "ofa_edge.connections"
_ABSOLUTE = re.compile(r"/[A-Za-z0-9._/-]*")
_USB_SERIAL = re.compile(r"[A-Za-z0-9]+")  # what adb lists of a network device (host:port, mDNS) is no serial number

Factory = Callable[[str, Mapping[str, Any]], Connection]


class Device(Protocol):
    """One device of the user's."""

    @property
    def kind(self) -> str:
        """Its transport."""

    @property
    def where(self) -> str:
        """Where it stands, for the user's own eyes."""

    @property
    def expected(self) -> Expected:
        """What it must say it is before it is measured."""

    def check(self) -> None:
        """Raise ConfigError for values that are of the right type and still cannot be."""

    def connect(self, name: str) -> Connection:
        """The way to it; ToolMissingError where a program for that is missing here."""


class _Table(Strict):
    """What the tables share."""

    python: str = "python3"  # a Python on the device that has ai-edge-litert

    @field_validator("folder", check_fields=False)
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not _ABSOLUTE.fullmatch(value) or ".." in Path(value).parts:
            raise ValueError("an absolute folder of plain names, like /var/tmp")
        return value

    @field_validator("python")
    @classmethod
    def _no_option(cls, value: str) -> str:
        if not value or value.startswith("-"):
            raise ValueError("the path of a Python interpreter on the device")
        return value


class SshDevice(_Table):
    """A device behind ssh. What is left out comes from the user's own ssh configuration."""

    kind: Literal["ssh"]
    host: str = Field(min_length=1)
    user: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    identity_file: str | None = None
    known_hosts_file: str | None = None
    serial: str | None = Field(default=None, min_length=1)  # what the device must say: another may get its address
    folder: str = "/tmp"  # noqa: S108  (a folder on the device, under which private ones are made)

    @property
    def where(self) -> str:
        """See `Device`."""
        return self.host

    @property
    def expected(self) -> Expected:
        """See `Device`."""
        return Expected(serial=self.serial or "")

    def address(self) -> SshAddress:
        """Raises ConfigError if ssh could misread a name."""
        identity, known = (
            Path(text).expanduser() if text else None for text in (self.identity_file, self.known_hosts_file)
        )
        return SshAddress(self.host, self.user, self.port, identity, known)

    def check(self) -> None:
        """See `Device`."""
        self.address()

    def connect(self, name: str) -> Connection:
        """See `Device`."""
        return SshConnection(name, self.address(), (self.python,), self.folder)


class AdbDevice(_Table):
    """A device behind adb: by serial, by network address, or the only one that is attached."""

    kind: Literal["adb"]
    serial: str | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5555
    server_port: Annotated[int, Field(ge=1, le=65535)] | None = None  # of an adb server other than the user's usual
    build: str | None = Field(default=None, min_length=1)  # the `ro.build.fingerprint` that it must have
    folder: str = ANDROID_FOLDER

    @property
    def where(self) -> str:
        """See `Device`."""
        return self.serial or self.address().network or "the only one attached"

    @property
    def expected(self) -> Expected:
        """See `Device`."""
        serial = self.serial if self.serial and _USB_SERIAL.fullmatch(self.serial) else ""
        return Expected(serial, self.build or "")

    def address(self) -> AdbAddress:
        """Raises ConfigError if adb could misread a name."""
        return AdbAddress(self.serial, self.host, self.port, AdbServer(self.server_port))

    def check(self) -> None:
        """See `Device`."""
        self.address()

    def connect(self, name: str) -> Connection:
        """See `Device`."""
        return AdbConnection(name, self.address(), (self.python,), self.folder)


class PluginDevice:
    """A device of a kind that an installed package brings."""

    where = ""
    expected = Expected()

    def __init__(self, point: EntryPoint, options: Mapping[str, Any]) -> None:
        self.kind = point.name
        self._point = point
        self._options = dict(options)

    def check(self) -> None:
        """Only the package knows what its keys mean, and it is not loaded before its device is used."""

    def connect(self, name: str) -> Connection:
        """See `Device`. Whatever goes wrong in the package is an error of the device's table."""
        try:
            factory: Factory = self._point.load()
            return factory(name, self._options)
        except OfaEdgeError:
            raise
        except Exception as error:
            raise ConfigError(
                f"device '{name}' of kind '{self.kind}' cannot be used",
                f"{self._point.value}: {type(error).__name__}: {error}",
                f"OFA_EDGE_TEST_DEVICE={name} pytest --pyargs ofa_edge.testing.connection_kit",
            ) from error


TABLES: Mapping[str, type[SshDevice] | type[AdbDevice]] = {"ssh": SshDevice, "adb": AdbDevice}


def plugins() -> dict[str, EntryPoint]:
    """Kinds that installed packages bring. Those that are built in cannot be replaced."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in TABLES}


def read_table(table: Mapping[str, Any]) -> Device:
    """The device that a table describes.

    Raises:
        pydantic.ValidationError: a key or value that does not fit.
        ConfigError: no such kind, or a value that cannot be.
    """
    kind = str(table.get("kind"))
    known = plugins()
    if kind in known:
        return PluginDevice(known[kind], {key: value for key, value in table.items() if key != "kind"})
    if kind not in TABLES:
        kinds = ", ".join([*TABLES, *sorted(known)])
        raise ConfigError(
            "unknown kind of device", f"kind: '{kind}'", f"known: {kinds}; others come with packages ({ENTRY_POINTS})"
        )
    device = TABLES[kind].model_validate(dict(table))
    device.check()
    return device
