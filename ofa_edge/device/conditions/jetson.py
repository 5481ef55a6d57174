"""Jetson: the power mode recorded, `jetson_clocks` on for the time of measuring and put back after.

`nvpmodel -q` prints `NV Power Mode: NAME` and the mode's number below it; `jetson_clocks --store FILE` and
`--restore FILE` keep the clocks (NVIDIA, Jetson Linux Developer Guide, Platform Power and Performance). Both need root.
Over-current throttling is counted by the power monitor's `oc*_event_cnt` files on Orin.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ofa_edge.device.conditions.cpufreq import is_root
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.look import Look, ask, find_files, read_files
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import DeviceBusyError, OfaEdgeError

_LOG = logging.getLogger(__name__)
_CLOCKS_S = 60.0
_HOT_C = 70.0  # well under where the kernel's soft throttling begins on Nano (97 C) and Orin (99 C)


@dataclass(frozen=True)
class Jetson:
    """See `look.Family`."""

    connection: Connection
    name: str = "jetson"

    def look(self) -> Look:
        """See `look.Family`."""
        found = Linux(self.connection, hot_c=_HOT_C).look()
        mode = power_mode(self._as_root(["nvpmodel", "-q"])) or "not available"
        counters = read_files(self.connection, find_files(self.connection, "/sys/class/hwmon", "oc*_event_cnt"))
        counts = {path: number for path, text in counters.items() if (number := whole_number(text)) is not None}
        # jetson_clocks pins the minimum to the maximum and leaves the governor: nothing to warn about.
        warnings = tuple(words for words in found.warnings if not words.startswith("governor"))
        return replace(
            found,
            events={**found.events, **counts},
            settings={**found.settings, "power mode": mode},
            facts={**found.facts, "power mode": mode, "clocks": "jetson_clocks"},
            warnings=warnings,
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """See `look.Family`. Raises DeviceBusyError (clocks-not-locked) where we may not lock the clocks."""
        with self.connection.workdir() as work:
            stored = str(work / "clocks.conf")
            if self._clocks("--store", stored) != 0:
                raise self._refused()
            try:
                if self._clocks() != 0:
                    raise self._refused()
                yield
            finally:
                self._restore(stored)

    def _refused(self) -> DeviceBusyError:
        return DeviceBusyError(
            f"cannot lock the clocks of {self.connection.name}",
            "jetson_clocks needs root, and sudo without a password did not give it",
            "allow `jetson_clocks` and `nvpmodel -q` for this user in /etc/sudoers.d (NOPASSWD)",
            reason="clocks-not-locked",
        )

    def _restore(self, stored: str) -> None:
        try:
            failed = self._clocks("--restore", stored) != 0
        except OfaEdgeError:
            failed = True
        if failed:  # must not hide what went wrong inside
            _LOG.warning("%s keeps its clocks locked: sudo jetson_clocks --restore failed", self.connection.name)

    def _clocks(self, *options: str) -> int:
        return self.connection.run([*self._sudo(), "jetson_clocks", *options], _CLOCKS_S, check=False).returncode

    def _as_root(self, argv: list[str]) -> str:
        return ask(self.connection, argv) or ask(self.connection, [*self._sudo(), *argv])

    def _sudo(self) -> list[str]:
        return [] if is_root(self.connection) else ["sudo", "-n"]


def power_mode(said: str) -> str:
    """`MAXN (0)` of what `nvpmodel -q` prints; "" for anything else."""
    name = re.search(r"^NV Power Mode: (\S+)\s*$", said, re.MULTILINE)
    number = re.search(r"^(\d+)\s*$", said, re.MULTILINE)
    return f"{name[1]} ({number[1]})" if name and number else name[1] if name else ""
