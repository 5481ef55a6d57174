"""Raspberry Pi: `vcgencmd get_throttled` must be 0x0 before, and is asked again after.

Bits 0 to 3 say what holds it back now, bits 16 to 19 what did since boot:
https://www.raspberrypi.com/documentation/computers/os.html#get_throttled. The later ones never clear, so no slow-down
during a session can be missed, however short it was.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ofa_edge.device.conditions.cpufreq import fastest
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, ask
from ofa_edge.device.protocol import Connection

_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_BOOT = 16
# The soft limit of a Pi 3B+ is at 60 C, the firmware of a Pi 4 and 5 holds back from 80 C on; a run heats by 10 to 15.
_HOT_C = 60.0


@dataclass(frozen=True)
class RaspberryPi:
    """See `look.Family`."""

    connection: Connection
    name: str = "raspberry-pi"

    def look(self) -> Look:
        """See `look.Family`."""
        found = Linux(self.connection, hot_c=_HOT_C).look()
        bits = throttled_bits(ask(self.connection, ["vcgencmd", "get_throttled"]))
        if bits is None:
            words = "vcgencmd does not answer: the watch alone sees throttling"
            facts = {**found.facts, "throttled": NOT_AVAILABLE}
            return replace(found, facts=facts, warnings=(*found.warnings, words))
        faults = (*found.faults, *([_fault(bits)] if bits else []))
        return replace(found, faults=faults, slowed=bits != 0, facts={**found.facts, "throttled": f"{bits:#x}"})

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection)


def throttled_bits(said: str) -> int | None:
    """The bits of `vcgencmd get_throttled`; None for anything else than its answer.

    >>> throttled_bits("throttled=0x50000")
    327680
    """
    found = re.fullmatch(r"throttled=(0x[0-9a-fA-F]{1,8})", said.strip())
    return int(found[1], 16) if found else None


def _fault(bits: int) -> Fault:
    now = [words for bit, words in _BITS.items() if bits >> bit & 1]
    past = [words for bit, words in _BITS.items() if bits >> (bit + _SINCE_BOOT) & 1]
    words = f"get_throttled {bits:#x}: {', '.join(now or past)}{'' if now else ' since it started'}"
    if "under-voltage" in (*now, *past):
        return Fault("under-voltage", words, "a better power supply and cable, then restart the board")
    return Fault("throttled-since-boot", words, "cool it, then restart the board: these bits clear no other way")
