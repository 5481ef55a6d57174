"""The line that a user types here to run something on a device: what a hint about that device ends with."""

import shlex

from ofa_edge.device.connections.adb import AdbConnection
from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.device.protocol import Connection
from ofa_edge.shown import pasteable


def typed(connection: Connection, line: str) -> str:
    """A line for the shell of the device, as it is typed on this machine.

    Args:
        connection: to the device.
        line: for a POSIX shell there, quoted where it must be.
    """
    if isinstance(connection, SshConnection):
        address = connection.address
        port = ["-p", str(address.port)] if address.port is not None else []
        key = ["-i", str(address.identity_file)] if address.identity_file is not None else []
        return pasteable("ssh", *port, *key, address.target, line)
    if isinstance(connection, AdbConnection):
        return pasteable("adb", "shell", line)
    return line if connection.kind == "local" else f"on {connection.name}: {line}"


def pip_install(python: tuple[str, ...], *requirements: str) -> str:
    """The line for a device's shell that adds packages to one of its Pythons."""
    return shlex.join([*python, "-m", "pip", "install", *requirements])
