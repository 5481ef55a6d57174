"""Raspberry Pi: `vcgencmd get_throttled` must be 0x0 before, and is asked again after.

Bits 0 to 3 say what holds it back now, bits 16 to 19 what did since boot:
https://www.raspberrypi.com/documentation/computers/os.html#get_throttled. The later ones never clear, so no slow-down
during a session can be missed, however short it was.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ofa_edge.device.conditions.cpufreq import LEAST_SHARE, Policy, fastest, most_khz, policies
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, ask, find_files, read_files
from ofa_edge.device.connections.typed import typed
from ofa_edge.device.protocol import Connection

_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_BOOT = 16
_ALARM = "in0_lcrit_alarm"  # of the kernel's rpi_volt: under-voltage
# arm_freq of https://www.raspberrypi.com/documentation/computers/config_txt.html; later boards of a model are faster.
_STOCK_MHZ = {
    "500": (2400, 2400),
    "5": (2400, 2400),
    "Compute Module 5": (2400, 2400),
    "400": (1800, 1800),
    "4": (1500, 1800),
    "Compute Module 4": (1500, 1500),
    "3 Model B Plus": (1400, 1400),
    "3 Model A Plus": (1400, 1400),
    "3": (1200, 1200),
    "Zero 2": (1000, 1000),
}
# The soft limit of a Pi 3B+ is at 60 C, the firmware of a Pi 4 and 5 holds back from 80 C on; a run heats by 10 to 15.
_HOT_C = 60.0


@dataclass(frozen=True)
class RaspberryPi:
    """See `look.Family`."""

    connection: Connection
    model: str = ""  # as the device tree names it
    name: str = "raspberry-pi"

    def look(self) -> Look:
        """See `look.Family`."""
        clocks = policies(self.connection)
        found = self._against_stock(Linux(self.connection, hot_c=_HOT_C, board=True).look(clocks), clocks)
        bits = throttled_bits(ask(self.connection, ["vcgencmd", "get_throttled"]))
        if bits is None:
            words = "vcgencmd does not answer: the watch alone sees throttling"
            facts = {**found.facts, "throttled": NOT_AVAILABLE}
            alarms = read_files(self.connection, find_files(self.connection, "/sys/class/hwmon", _ALARM))
            faults = (*found.faults, *([_fault(1)] if "1" in alarms.values() else []))
            return replace(found, faults=faults, facts=facts, warnings=(*found.warnings, words))
        faults = (*found.faults, *([_fault(bits)] if bits else []))
        return replace(found, faults=faults, slowed=bits != 0, facts={**found.facts, "throttled": f"{bits:#x}"})

    def _against_stock(self, found: Look, clocks: Sequence[Policy]) -> Look:
        """`cpuinfo_max_freq` follows config.txt: beside it stands what boards of this model are sold with."""
        stock = stock_mhz(self.model)
        most = most_khz(clocks)
        if stock is None or most is None:
            return replace(found, facts={**found.facts, "stock clock": NOT_AVAILABLE})
        least, highest = stock
        facts = {**found.facts, "stock clock": f"{most / 1e6:.2f} GHz, sold with {highest / 1e3:.2f} GHz"}
        if most < LEAST_SHARE * least * 1000:
            words = f"config.txt holds it at {most / 1e6:.2f} GHz; it is sold with {least / 1e3:.2f} GHz"
            hint = typed(self.connection, "grep -n arm_freq /boot/firmware/config.txt /boot/config.txt")
            fault = Fault("underclocked", words, f"{hint} shows it: remove the line, then restart the board")
            return replace(found, faults=(*found.faults, fault), facts=facts)
        if most > 1.01 * highest * 1000:
            words = f"overclocked to {most / 1e6:.2f} GHz: no other board of its model is as fast"
            return replace(found, facts=facts, warnings=(*found.warnings, words))
        return replace(found, facts=facts)

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection)


def stock_mhz(model: str) -> tuple[int, int] | None:
    """The clocks that boards of a model are sold with, lowest and highest; None for one that is not known.

    >>> stock_mhz("Raspberry Pi 4 Model B Rev 1.4")
    (1500, 1800)
    """
    return next((clocks for name, clocks in _STOCK_MHZ.items() if model.startswith(f"Raspberry Pi {name}")), None)


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
