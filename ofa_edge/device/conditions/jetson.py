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

from ofa_edge.device.conditions.cpufreq import LEAST_SHARE, is_root
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, ask, find_files, read_files
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.connections.typed import typed
from ofa_edge.device.protocol import Connection
from ofa_edge.errors import DeviceBusyError, OfaEdgeError

_LOG = logging.getLogger(__name__)
_CLOCKS_S = 60.0
_DEVFREQ = "/sys/class/devfreq"
_GPU = re.compile(r"gpu|gm20b|gp10b|gv11b|ga10b")
_BY_MODE = ("clock-capped", "cores-off")  # what nvpmodel decides
_HOT_C = 70.0  # well under where the kernel's soft throttling begins on Nano (97 C) and Orin (99 C)


@dataclass(frozen=True)
class Jetson:
    """See `look.Family`."""

    connection: Connection
    name: str = "jetson"

    def look(self) -> Look:
        """See `look.Family`."""
        found = Linux(self.connection, hot_c=_HOT_C, board=True).look()
        mode = power_mode(self._as_root(["nvpmodel", "-q"])) or NOT_AVAILABLE
        counters = read_files(self.connection, find_files(self.connection, "/sys/class/hwmon", "oc*_event_cnt"))
        counts = {path: number for path, text in counters.items() if (number := whole_number(text)) is not None}
        # jetson_clocks pins the minimum to the maximum and leaves the governor: nothing to warn about.
        warnings = tuple(words for words in found.warnings if not words.startswith("governor"))
        gpu, gpu_faults = self._gpu()
        faults = [replace(each, hint=self._fullest()) if each.code in _BY_MODE else each for each in found.faults]
        return replace(
            found,
            faults=(*faults, *gpu_faults),
            events={**found.events, **counts},
            settings={**found.settings, "power mode": mode},
            facts={**found.facts, "power mode": mode, "GPU ceiling": gpu, "clocks": "jetson_clocks"},
            warnings=warnings,
        )

    def _fullest(self) -> str:
        return typed(self.connection, "sudo nvpmodel -m 0") + " is the fullest mode of most modules"

    def _gpu(self) -> tuple[str, list[Fault]]:
        """The GPU's ceiling beside the highest of its clocks, in words, and what is to be said of it."""
        found = [path for path in find_files(self.connection, _DEVFREQ, "max_freq") if _GPU.search(path)]
        folders = [path.removesuffix("/max_freq") for path in found]
        steps = [f"{folder}/available_frequencies" for folder in folders]
        texts = read_files(self.connection, [*found, *steps])
        for path, step in zip(found, steps, strict=True):
            ceiling = whole_number(texts.get(path, ""))
            most = max((number for text in texts.get(step, "").split() if (number := whole_number(text))), default=None)
            if ceiling is None or most is None:
                continue
            words = f"{ceiling / 1e9:.2f} GHz of {most / 1e9:.2f} GHz"
            low = ceiling < LEAST_SHARE * most
            return words, [
                Fault("gpu-capped", f"its GPU is held below what it can be: {words}", self._fullest())
            ] if low else []
        return NOT_AVAILABLE, []

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
