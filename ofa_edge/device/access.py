"""A device for the length of a piece of work: connected to, its lease held, in the state that measuring needs."""

import contextlib
from collections.abc import Callable, Iterator

from ofa_edge.device.conditions import COOL_DEADLINE_S, DeviceConditions, prepared
from ofa_edge.device.emulation import emulated
from ofa_edge.device.measuring.lease import hold
from ofa_edge.device.needs import Needs, require
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.device.registry.devices_file import (
    BUILTIN,
    EMULATED,
    devices_path,
    expected_of,
    load_devices,
    open_connection,
)
from ofa_edge.errors import ConfigError, ToolMissingError, UnknownNameError, UnsupportedError
from ofa_edge.targets import Target

NeedsOf = Callable[[Target, Fingerprint], Needs]
LOCAL_DEADLINE_S = 30.0  # this machine is hot from the build itself


def require_device(name: str, target: Target) -> None:
    """Check, before any work, that a device goes by that name, and can stand in for the target where it is emulated.

    Raises:
        UnknownNameError: no device goes by that name.
        UnsupportedError: the target cannot be emulated.
        ToolMissingError: what emulates it is not installed.
    """
    if name not in BUILTIN and name not in (own := load_devices()):
        hint = f"ofa-edge devices list, or add [devices.{name}] to {devices_path()}"
        raise UnknownNameError.of("device", name, ["auto", *BUILTIN, *own], hint)
    if name not in EMULATED:
        return
    if target.emulation is None:
        why = "it is this machine" if target.at_hand else "no [emulation] table: nothing here runs its GPU"
        hint = "--device local" if target.at_hand else "--device none"
        raise UnsupportedError(f"{target.name} cannot be emulated", f"{target.path}: {why}", hint)
    if (why_not := emulated.emulation_available(target.hardware.arch)) is not None:
        raise ToolMissingError("no emulated device", why_not, "--device none, or ofa-edge doctor")


def require_ready(device: str, target: Target, needs: NeedsOf) -> None:
    """Connect to a device and raise, before any work, for what it lacks; nothing for the device "none".

    Args:
        device: its name.
        target: whose artifacts are to run there.
        needs: what they need, by the target and what the device says of itself (`Runtime.needs`).

    Raises:
        ToolMissingError: a Python, or a module of it.
        UnsupportedError: it is of another machine, or its C library is too old.
        DeviceError: it cannot be reached, or is full.
    """
    if device == "none":
        return
    with connected(device, target, "run") as connection:
        require(connection, needs(target, connection.fingerprint()))


@contextlib.contextmanager
def connected(device: str, target: Target, purpose: str) -> Iterator[Connection]:
    """A device by its name, given up at the end. Raises ConfigError for none: `purpose` is a verb for the message."""
    connection = open_connection(device, target)
    if connection is None:
        raise ConfigError(f"no device to {purpose} on", "--device none", "--device NAME; see: ofa-edge devices list")
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def held(connection: Connection, target: Target) -> Iterator[DeviceConditions | None]:
    """A device's lease, and its conditions where it is hardware: None for an emulated one, which many may share.

    Where it is the target's own hardware its clocks are held against the target's table.

    Raises:
        DeviceBusyError: somebody else holds it, it is not the device of the devices file, or it cannot be prepared.
        DeviceError: it was lost.
        ConfigError: the devices file is bad.
    """
    fingerprint = connection.fingerprint()
    if fingerprint.device_kind == "emulated":
        yield None
        return
    deadline_s = LOCAL_DEADLINE_S if connection.kind == "local" else COOL_DEADLINE_S
    expected = expected_of(connection.name)
    clock_ghz = target.hardware.clock_ghz if is_target(target, fingerprint, connection) else None
    with hold(connection) as lease, prepared(connection, expected, deadline_s, lease.check, clock_ghz) as conditions:
        yield conditions


def is_target(target: Target, fingerprint: Fingerprint, connection: Connection) -> bool:
    """Whether the device is the target's hardware, by what it says about itself."""
    if target.at_hand:
        return connection.kind == "local"
    return fingerprint.device_kind == "physical" and target.is_hardware(fingerprint.model, fingerprint.cpu)


def peak_gmacs(target: Target, precision: str, fingerprint: Fingerprint, connection: Connection) -> float | None:
    """Peak of the device at hand in 1e9 MAC/s at a precision; None where it is not known.

    It is known of the target's own hardware only; of this machine it is a guess. Where a core has no arithmetic of that
    precision the runtime computes in fp32.
    """
    if target.at_hand or not is_target(target, fingerprint, connection):
        return None
    return target.hardware.peak_gmacs(precision)


def device_key(fingerprint: Fingerprint) -> str:
    """What makes times comparable: the board and its processor, as the device says."""
    return " / ".join(part for part in (fingerprint.model, fingerprint.cpu, fingerprint.arch) if part)
