"""The user's devices: where they stand, read from a strict TOML file that is never part of a project.

    # ~/.config/ofa-edge/devices.toml          ($OFA_EDGE_DEVICES names another file)
    schema = 1
    [devices.pi]
    kind = "ssh"
    host = "raspberrypi.local"
    user = "pi"
    python = "/home/pi/litert/bin/python"    # one that has ai-edge-litert

`local`, `emulated` and `none` are always there and cannot be redefined.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ofa_edge.device.emulated import open_emulated
from ofa_edge.device.local import LocalConnection
from ofa_edge.device.protocol import Connection
from ofa_edge.device.ssh import SshAddress, SshConnection
from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.targets import Target

DEVICES_VARIABLE = "OFA_EDGE_DEVICES"
BUILTIN: Mapping[str, str] = {
    "local": "this machine; its latency is its own",
    "emulated": "the target's CPU under QEMU; proves parity and accuracy, gives no milliseconds",
    "none": "nothing is run on a device",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ABSOLUTE = re.compile(r"/[A-Za-z0-9._/-]*")


class SshDevice(BaseModel):
    """A device behind ssh. What is left out comes from the user's own ssh configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["ssh"]
    host: str = Field(min_length=1)
    user: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    identity_file: str | None = None
    known_hosts_file: str | None = None
    python: str = "python3"  # a Python on the device that has ai-edge-litert
    folder: str = "/tmp"  # noqa: S108  (a folder on the device, under which private ones are made)

    @field_validator("folder")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not _ABSOLUTE.fullmatch(value) or ".." in Path(value).parts:
            raise ValueError("an absolute folder of plain names, like /var/tmp")
        return value

    @field_validator("python")
    @classmethod
    def _program(cls, value: str) -> str:
        if not value or value.startswith("-"):
            raise ValueError("the name or path of a Python interpreter")
        return value

    def address(self) -> SshAddress:
        """The address, `~` expanded.

        Raises:
            ConfigError: a host or user name that ssh could take for an option.
        """
        files = (self.identity_file, self.known_hosts_file)
        identity, known_hosts = (Path(path).expanduser() if path else None for path in files)
        return SshAddress(self.host, self.user, self.port, identity, known_hosts)


class DevicesFile(BaseModel):
    """The schema of devices.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: Literal[1] = Field(alias="schema")
    devices: dict[str, SshDevice] = Field(default_factory=dict)

    @field_validator("devices")
    @classmethod
    def _names(cls, value: dict[str, SshDevice]) -> dict[str, SshDevice]:
        for name in value:
            if name in BUILTIN:
                raise ValueError(f"'{name}' is built in and cannot be redefined")
            if not _NAME.fullmatch(name):
                raise ValueError(f"'{name}' is no plain name")
        return value


def devices_path() -> Path:
    """The file that is read: `$OFA_EDGE_DEVICES`, else devices.toml in the user's configuration folder."""
    named = os.environ.get(DEVICES_VARIABLE)
    return Path(named).expanduser() if named else user_config_path("ofa-edge") / "devices.toml"


def load_devices() -> dict[str, SshDevice]:
    """The user's devices by name; none if there is no file.

    Raises:
        ConfigError: the file cannot be read or does not fit; names the key.
    """
    path = devices_path()
    if not path.exists() and DEVICES_VARIABLE not in os.environ:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        devices = DevicesFile.model_validate(content).devices
        for name, device in devices.items():
            _checked_address(name, device, path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read {path.name}", f"{path}: {error}", f"correct it, or unset {DEVICES_VARIABLE}"
        ) from error
    except ValidationError as error:
        raise ConfigError(
            f"{path.name} does not fit its schema",
            f"{path}: {'; '.join(_explain(item['loc'], item['type'], item['msg']) for item in error.errors())}",
            f"known keys of a device: {', '.join(SshDevice.model_fields)}",
        ) from error
    return devices


def _checked_address(name: str, device: SshDevice, path: Path) -> None:
    try:
        device.address()
    except ConfigError as error:
        raise ConfigError(error.what, f"{path}: devices.{name}: {error.why}", error.hint) from error


def _explain(location: tuple[int | str, ...], kind: str, message: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return f"unknown key '{key}'"
    return f"missing key '{key}'" if kind == "missing" else f"{key}: {message.removeprefix('Value error, ')}"


def open_connection(name: str, target: Target) -> Connection | None:
    """The way to the device called `name`, for artifacts of `target`; None for "none". Close it when done.

    "emulated" sets its system up on first use (a download of about 60 MB).

    Raises:
        UnknownNameError: no device goes by that name.
        ConfigError: the devices file is bad.
        UnsupportedError: the target cannot be emulated.
        ToolMissingError: ssh or QEMU is not installed.
        DeviceError: the emulated device could not be set up.
    """
    if name == "none":
        return None
    if name == "local":
        return LocalConnection()
    if name == "emulated":
        if target.emulation is None:
            raise UnsupportedError(
                f"{target.name} cannot be emulated", "its target file has no [emulation] table", "--device none"
            )
        return open_emulated(target.emulation.cpu, target.hardware.arch)
    devices = load_devices()
    if name not in devices:
        raise UnknownNameError.of("device", name, [*BUILTIN, *devices], f"add [devices.{name}] to {devices_path()}")
    device = devices[name]
    return SshConnection(name, device.address(), (device.python,), device.folder)
