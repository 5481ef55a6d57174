"""Add a device to the user's file: a table at its end. What stands there, comments included, stays as it is."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ofa_edge.device.registry.connection_tables import TABLES, plugins
from ofa_edge.device.registry.devices_file import (
    BUILTIN,
    devices_path,
    own_devices_path,
    parse_devices_file,
    read_devices_text,
)
from ofa_edge.errors import ConfigError, UsageError
from ofa_edge.files import parse_toml, private_folder, write_bytes
from ofa_edge.names import require_plain

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADING = "# Devices of ofa-edge: where hardware stands. Personal; it belongs in no repository.\nschema = 1\n"


def add_device(name: str, kind: str, options: Mapping[str, str | int]) -> Path:
    """Write a device to the devices file, which is checked as a whole before it is replaced.

    Args:
        name: what `--device` will take.
        kind: "ssh", "adb", or one that an installed package brings.
        options: the other keys of its table.

    Returns:
        The file.

    Raises:
        UsageError: the name is taken, or the kind or a key is not known.
        ConfigError: a value that does not fit, or a file that is bad already.
    """
    path = devices_path()
    text = read_devices_text(path) if path.exists() else _HEADING
    known = parse_devices_file(text, path)
    if name in known or name in BUILTIN:
        what = f"there is a device '{name}' already"
        raise UsageError(what, str(path) if name in known else "it is built in", "another name, or edit the file")
    if kind not in TABLES and kind not in plugins():
        kinds = ", ".join([*TABLES, *sorted(plugins())])
        raise UsageError(
            f"unknown kind of device '{kind}'", f"known: {kinds}", "pip install the package that brings it"
        )
    text = f"{text.rstrip()}\n\n{table(name, kind, options)}"
    parse_devices_file(text, path)
    if path == own_devices_path():
        private_folder(path.parent)  # another one, named by a variable, may lie in a folder that is shared
    write_bytes(path, text.encode(), private=True)
    return path


def table(name: str, kind: str, options: Mapping[str, str | int]) -> str:
    """The lines of one device.

    >>> print(table("pi", "ssh", {"host": "pi.local", "port": 22}), end="")
    [devices.pi]
    kind = "ssh"
    host = "pi.local"
    port = 22
    """
    require_plain("device", name, "devices add", "devices add my-pi")
    for key in options:
        if not _KEY.fullmatch(key):
            raise ConfigError(f"not a plain name: {key!r}", "a key of a device", "letters, digits, _ and -")
    head = name if _KEY.fullmatch(name) else f'"{name}"'
    lines = [
        f"[devices.{head}]",
        f"kind = {_value(kind)}",
        *(f"{key} = {_value(value)}" for key, value in options.items()),
    ]
    return "".join(f"{line}\n" for line in lines)


def _value(value: str | int) -> str:
    """As TOML writes it; JSON's strings are TOML's, but for the one control character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_option(text: str) -> tuple[str, str | int]:
    """`KEY=VALUE` of the command line; a number or true/false is one, all else is a string.

    Raises:
        UsageError: no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"not an option: {text!r}", "--option takes KEY=VALUE", "--option port=7")
    try:
        parsed = parse_toml(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
    return key, parsed if isinstance(parsed, int) else value
