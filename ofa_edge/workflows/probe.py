"""What a device says of itself, what its system has, and what each runtime of a target would lack there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ofa_edge.device.access import connected
from ofa_edge.device.conditions import family_of
from ofa_edge.device.conditions.look import Fault, Look
from ofa_edge.device.connections.userland import Userland, read_userland
from ofa_edge.device.needs import Lack, lacks
from ofa_edge.device.protocol import Fingerprint
from ofa_edge.runtimes import runtime_named
from ofa_edge.targets import load_target


@dataclass(frozen=True)
class Probe:
    """What a device answers.

    Attributes:
        fingerprint: what it says of itself.
        has: what its system has.
        lacks: what it lacks, by runtime of the target.
        stands: clocks, ceilings, governor, power, heat, load, each in words; empty for an emulated device.
        faults: what of that stands in the way of measuring.
    """

    fingerprint: Fingerprint
    has: Userland
    lacks: Mapping[str, tuple[Lack, ...]]
    stands: Mapping[str, str]
    faults: tuple[Fault, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON form: the fingerprint's facts, "has", "lacks", "stands" and "faults"."""
        told = {name: [asdict(each) for each in found] for name, found in self.lacks.items()}
        stands = {"stands": dict(self.stands), "faults": [asdict(each) for each in self.faults]}
        return {**self.fingerprint.to_json(), "has": self.has.to_json(), "lacks": told, **stands}


def probe(name: str, target_name: str) -> Probe:
    """Connect to a device and ask it.

    Args:
        name: of the device.
        target_name: whose runtimes are looked at, and whose core an emulated device takes.

    Raises:
        UnknownNameError: no device or target goes by that name.
        DeviceError: it cannot be reached.
    """
    target = load_target(target_name)
    with connected(name, target, "probe") as connection:
        fingerprint = connection.fingerprint()
        needs = {each: runtime_named(each).needs(target, fingerprint) for each in target.runtimes}
        modules = {module: of for need in needs.values() for module, of in need.names.items()}
        has = read_userland(connection, fingerprint, modules)
        physical = fingerprint.device_kind == "physical"
        look = family_of(connection, fingerprint).look() if physical else Look()
        told = {each: lacks(connection, has, need) for each, need in needs.items()}
        return Probe(fingerprint, has, told, look.facts, look.faults)
