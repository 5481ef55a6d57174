"""The user's devices: where they stand, read from a strict TOML file that is never part of a project.

    # ~/.config/ofa-edge/devices.toml          ($OFA_EDGE_DEVICES names another file)
    schema = 1
    [devices.pi]
    kind = "ssh"
    host = "raspberrypi.local"
    user = "pi"
    python = "/home/pi/litert/bin/python"    # one that has ai-edge-litert

`local`, `none` and the emulated ones are always there and cannot be redefined.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path
from pydantic import Field, ValidationError, field_validator

from ofa_edge.device.conditions.identity import Expected
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.emulation.emulated import open_emulated
from ofa_edge.device.emulation.emulated_system.connections import open_emulated_adb, open_emulated_ssh
from ofa_edge.device.protocol import Connection
from ofa_edge.device.registry.connection_tables import TABLES, Device, read_table
from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.files import bounded_text, parse_toml
from ofa_edge.names import plain
from ofa_edge.schema import Strict, explain, validated
from ofa_edge.targets import Target

DEVICES_VARIABLE = "OFA_EDGE_DEVICES"
BUILTIN: Mapping[str, str] = {
    "local": "this machine; its latency is its own",
    "emulated": "the target's CPU under QEMU; proves parity and accuracy, gives no milliseconds",
    "emulated-ssh": "the same as a system with an ssh server of its own: what a Raspberry Pi's way looks like",
    "emulated-adb": "the same with Android's shell and tools behind adb: what a phone's way looks like",
    "none": "nothing is run on a device",
}
# What makes each, from a core and an architecture.
EMULATED: Mapping[str, Callable[[str, str], Connection]] = {
    "emulated": open_emulated,
    "emulated-ssh": open_emulated_ssh,
    "emulated-adb": open_emulated_adb,
}


class DevicesFile(Strict):
    """The schema of the file; the tables themselves are read by `connection_tables`."""

    schema_version: Literal[1] = Field(alias="schema")
    devices: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("devices")
    @classmethod
    def _names(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in value:
            if name in BUILTIN:
                raise ValueError(f"'{name}' is built in and cannot be redefined")
            plain(name)
        return value


def devices_path() -> Path:
    """The file that is read: `$OFA_EDGE_DEVICES`, else devices.toml in the user's configuration folder."""
    named = os.environ.get(DEVICES_VARIABLE)
    return Path(named).expanduser() if named else own_devices_path()


def own_devices_path() -> Path:
    """The file in the user's configuration folder."""
    return user_config_path("ofa-edge") / "devices.toml"


def load_devices() -> dict[str, Device]:
    """The user's devices by name; none if there is no file.

    Raises:
        ConfigError: the file cannot be read or does not fit; names the key.
    """
    path = devices_path()
    if not path.exists() and DEVICES_VARIABLE not in os.environ:
        return {}
    return parse_devices_file(read_devices_text(path), path)


def read_devices_text(path: Path) -> str:
    """The text of a devices file. Raises ConfigError."""
    try:
        return bounded_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def parse_devices_file(text: str, path: Path) -> dict[str, Device]:
    """The devices of a file's text; `path` is for messages.

    Raises:
        ConfigError: see `load_devices`.
    """
    try:
        content = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, error) from error
    tables = validated(DevicesFile, content, path.name, path, "known tables: schema, devices").devices
    return {name: _device(name, table, path) for name, table in tables.items()}


def _device(name: str, table: Mapping[str, Any], path: Path) -> Device:
    try:
        return read_table(table)
    except ValidationError as error:
        schema = TABLES[table["kind"]]
        said, known = explain(error, schema, f"devices.{name}."), ", ".join(schema.model_fields)
        hint = f"known keys of this kind of device: {known}"
        raise ConfigError(f"{path.name} does not fit its schema", f"{path}: {said}", hint) from error
    except ConfigError as error:
        raise ConfigError(error.what, f"{path}: devices.{name}.{error.why}", error.hint) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"cannot read {path.name}", f"{path}: {error}", f"correct it, or unset {DEVICES_VARIABLE}")


def open_connection(name: str, target: Target) -> Connection | None:
    """The way to the device called `name`, for artifacts of `target`; None for "none". Close it when done.

    Emulated ones set their system up on first use (a download of 60 to 70 MB).

    Raises:
        UnknownNameError: no device goes by that name.
        ConfigError: the devices file is bad.
        UnsupportedError: the target cannot be emulated, or this machine allows no namespaces.
        ToolMissingError: ssh or QEMU is not installed.
        DeviceError: the emulated device could not be set up or started.
    """
    if name == "none":
        return None
    if name == "local":
        return LocalConnection()
    if name in EMULATED:
        if target.emulation is None:
            raise UnsupportedError(
                f"{target.name} cannot be emulated", "its target file has no [emulation] table", "--device none"
            )
        return EMULATED[name](target.emulation.cpu, target.hardware.arch)
    devices = load_devices()
    if name not in devices:
        raise UnknownNameError.of("device", name, [*BUILTIN, *devices], f"add [devices.{name}] to {devices_path()}")
    return devices[name].connect(name)


def expected_of(name: str) -> Expected:
    """What the device called `name` must say it is, as far as the devices file says so.

    Raises:
        ConfigError: the devices file is bad.
    """
    device = None if name in BUILTIN else load_devices().get(name)
    return Expected() if device is None else device.expected
