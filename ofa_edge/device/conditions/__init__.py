"""What a device must be before it is measured, and what may have happened to it by the end of a session.

    with prepared(connection, expected) as conditions, open_artifact(connection, request, conditions) as artifact:
        session = artifact.session(plan)  # waits until the device is fit; invalid where it was slowed down

The family (Android, Raspberry Pi, Jetson, another Linux) is found on the device itself, never taken from its name.
"""

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ofa_edge.device.conditions.android import Android
from ofa_edge.device.conditions.identity import Expected, check_identity
from ofa_edge.device.conditions.jetson import Jetson
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Family, Look, ask
from ofa_edge.device.conditions.raspberry_pi import RaspberryPi
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.errors import DeviceBusyError

__all__ = ["COOL_DEADLINE_S", "DeviceConditions", "Expected", "family_of", "prepared"]

_LOG = logging.getLogger(__name__)
COOL_DEADLINE_S = 300.0
_POLL_S = 5.0
_CLOCK_ROUNDING = 0.02  # kernels and data sheets round


class DeviceConditions:
    """The conditions of one device; see `protocol.Conditions`. Made by `prepared`."""

    def __init__(
        self,
        device: str,
        family: Family,
        deadline_s: float = COOL_DEADLINE_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        check_lease: Callable[[], None] = lambda: None,
        clock_ghz: float | None = None,
    ) -> None:
        """Args: the device's name, its family, how long to wait for it to cool down, a clock, `Lease.check`.

        And the clock of the target's fastest core, where the device is the target's hardware.
        """
        self.family = family
        self._device = device
        self._deadline_s = deadline_s
        self._sleep, self._clock = sleep, clock
        self._check_lease = check_lease
        self._clock_ghz = clock_ghz
        self._before: Look | None = None
        self._looks: list[Mapping[str, str]] = []  # before each session
        self._warned: set[str] = set()

    @property
    def facts(self) -> Mapping[str, str]:
        """Where it stood before each session: clocks, ceilings, governor, power, heat, load, each in words.

        What differed from session to session stands one behind the other, and "not read" names what it does not tell.
        """
        names = dict.fromkeys(name for look in self._looks for name in look)
        said = {name: list(dict.fromkeys(look[name] for look in self._looks if name in look)) for name in names}
        unread = [name for name, words in said.items() if words == [NOT_AVAILABLE]]
        levels = {name: " | ".join(words) for name, words in said.items()}
        return {"family": self.family.name, **levels, **({"not read": ", ".join(unread)} if unread else {})}

    def before(self) -> None:
        """See `protocol.Conditions.before`."""
        self._check_lease()
        end = self._clock() + self._deadline_s
        while True:
            self._before = _against_target(self.family.look(), self._clock_ghz)
            for words in self._before.warnings:
                if words not in self._warned:
                    self._warned.add(words)
                    _LOG.warning("%s: %s", self._device, words)
            faults = self._before.faults
            if not faults:
                self._looks.append(self._before.facts)
                return
            lasting = [fault for fault in faults if not fault.passes]
            if lasting or self._clock() >= end:
                fault = (lasting or faults)[0]
                waited = "" if lasting else f", after {self._deadline_s:.0f} s of waiting"
                raise DeviceBusyError(
                    f"{self._device} cannot be measured now", fault.words + waited, fault.hint, reason=fault.code
                )
            self._sleep(min(_POLL_S, max(0.0, end - self._clock())))

    def after(self) -> str | None:
        """See `protocol.Conditions.after`."""
        look = _against_target(self.family.look(), self._clock_ghz)
        if look.slowed:
            return "throttled"
        if self._before is None:
            return None
        known = {name for name, words in self._before.facts.items() if words != NOT_AVAILABLE}
        if any(look.facts.get(name, NOT_AVAILABLE) == NOT_AVAILABLE for name in known):
            return "state-unknown"  # it said how it was before the session, and does not now
        if self._before.events.keys() - look.events.keys():
            return "state-unknown"
        if any(value > self._before.events.get(name, value) for name, value in look.events.items()):
            return "throttled"
        return "settings-changed" if look.settings != self._before.settings else None


def _against_target(look: Look, clock_ghz: float | None) -> Look:
    """Beside what the device says that it can do stands what the target's table says of such hardware."""
    if clock_ghz is None:
        return look
    if look.most_khz is None:
        return replace(look, facts={**look.facts, "target clock": NOT_AVAILABLE})
    most = look.most_khz / 1e6
    facts = {**look.facts, "target clock": f"{most:.2f} GHz at most, {clock_ghz:.2f} GHz of the target"}
    if abs(most / clock_ghz - 1) <= _CLOCK_ROUNDING:
        return replace(look, facts=facts)
    words = (
        f"its fastest core reaches {most:.2f} GHz, and the target is of {clock_ghz:.2f} GHz: not what was predicted for"
    )
    return replace(look, facts=facts, warnings=(*look.warnings, words))


def family_of(connection: Connection, fingerprint: Fingerprint) -> Family:
    """The family of a device, by what it says about itself."""
    if re.fullmatch(r"\d+(\.\d+)*", ask(connection, ["getprop", "ro.build.version.release"]).strip()):
        return Android(connection)
    model = fingerprint.model.lower()
    if model.startswith("raspberry pi"):
        return RaspberryPi(connection, fingerprint.model)
    if model.startswith("nvidia ") and ("jetson" in model or "orin" in model or "xavier" in model):
        return Jetson(connection)
    return Linux(connection)


@contextlib.contextmanager
def prepared(
    connection: Connection,
    expected: Expected | None = None,
    deadline_s: float = COOL_DEADLINE_S,
    check_lease: Callable[[], None] = lambda: None,
    clock_ghz: float | None = None,
) -> Iterator[DeviceConditions]:
    """Bring a device into the state that measuring needs, and put it back as it was, whatever happens.

    Args:
        connection: to a physical device.
        expected: the serial and build that it must have, where they are known.
        deadline_s: how long a session waits for it to cool down.
        check_lease: called before each session; raises where the device is not ours any more.
        clock_ghz: of the fastest core of such hardware, as the target's table has it.

    Raises:
        DeviceBusyError: it is another device, or its settings cannot be made what they must be; `reason` says which.
        DeviceError: the device was lost.
    """
    fingerprint = connection.fingerprint()
    check_identity(connection, fingerprint, expected or Expected())
    family = family_of(connection, fingerprint)
    with family.held():
        yield DeviceConditions(connection.name, family, deadline_s, check_lease=check_lease, clock_ghz=clock_ghz)
