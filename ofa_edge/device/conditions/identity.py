"""Whether a device is the one that is meant, before anything on it is changed or measured."""

from dataclasses import dataclass

from ofa_edge.device.conditions.look import ask, read_files
from ofa_edge.device.connections.privacy import pseudonym
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.errors import DeviceBusyError

SERIALS = ("/proc/device-tree/serial-number", "/etc/machine-id")  # the first that is there


@dataclass(frozen=True)
class Expected:
    """What a device must say it is; empty where that is not known."""

    serial: str = ""
    build: str = ""  # an Android build fingerprint


def serial_number(connection: Connection) -> str:
    """The board's own serial number, else the system's machine id, else an Android phone's; "" where it tells none."""
    files = read_files(connection, SERIALS)
    found = [files[path] for path in SERIALS if files.get(path)]
    return found[0] if found else ask(connection, ["getprop", "ro.serialno"]).strip()


def check_identity(connection: Connection, fingerprint: Fingerprint, expected: Expected) -> None:
    """Once is enough: another device or build behind the same address has another boot id.

    Raises:
        DeviceBusyError: it is another device ("wrong-device"), or has another build ("other-build").
    """
    if expected.serial:
        serial = serial_number(connection)
        if serial != expected.serial:
            said = f"its serial number is that of {pseudonym(serial)}" if serial else "it reports no serial number"
            hint = "check 'serial' in the devices file; ofa-edge devices list names the file"
            raise _refused(connection, "wrong-device", f"{said}, another was expected", hint)
    if expected.build and fingerprint.build != expected.build:
        said = f"build {fingerprint.build or 'unknown'}, expected {expected.build}"
        hint = "an update begins a new baseline; then change 'build' in the devices file"
        raise _refused(connection, "other-build", said, hint)


def _refused(connection: Connection, reason: str, why: str, hint: str) -> DeviceBusyError:
    return DeviceBusyError(f"{connection.name} is not the expected device", why, hint, reason=reason)
