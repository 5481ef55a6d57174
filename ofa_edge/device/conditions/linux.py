"""A Linux machine of no family that we know more about: governor, temperature, load."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ofa_edge.device.conditions.cpufreq import ceilings, fastest, governors
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, hottest_c, read_files
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.protocol import Connection

HOT_C = 80.0  # where small boards and thin laptops begin to slow down
_BUSY = 0.5  # load by one, in processes a core
_MOST_CORES = 8192  # that a kernel is built for
_LOADAVG = "/proc/loadavg"
_PRESENT = "/sys/devices/system/cpu/online"


@dataclass(frozen=True)
class Linux:
    """See `look.Family`."""

    connection: Connection
    name: str = "linux"
    hot_c: float = HOT_C

    def look(self) -> Look:
        """See `look.Family`."""
        faults: list[Fault] = []
        warnings: list[str] = []
        names = sorted(set(governors(self.connection).values()))
        highest = ceilings(self.connection)
        facts = {"governor": ", ".join(names) or NOT_AVAILABLE}
        if names not in ([], ["performance"]):
            warnings.append(f"governor {', '.join(names)}: clocks move under the measurement")
        heat = hottest_c(self.connection)
        facts["temperature"] = NOT_AVAILABLE if heat is None else f"{heat:.1f} C"
        if heat is not None and heat >= self.hot_c:
            words = f"{heat:.1f} C, {self.hot_c:.0f} allowed"
            faults.append(Fault("too-hot", words, "cool it", passes=True))
        load, cores = self._load()
        if load is not None:
            facts["load"] = f"{load:.2f} on {cores} cores"
            if load > _BUSY * cores:
                warnings.append("other programs run on its cores")
        # Heat lowers a policy's ceiling; a session in which it fell was slowed down.
        events = {f"{path} below": -value for path, value in highest.items()}
        settings = {"governor": facts["governor"]}
        return Look(tuple(faults), False, events, settings, facts, tuple(warnings))

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection)

    def _load(self) -> tuple[float | None, int]:
        """Processes that want to run, averaged over a minute, and the number of cores."""
        files = read_files(self.connection, [_LOADAVG, _PRESENT])
        load = re.match(r"\d+\.\d+(?=\s)", files.get(_LOADAVG, ""))
        return (float(load[0]) if load else None), cores_in(files.get(_PRESENT, ""))


def cores_in(ranges: str) -> int:
    """How many cores the kernel's list names: `0-3,6` are five.

    >>> cores_in("0-3,6")
    5
    """
    ends = [[whole_number(end) for end in part.split("-")] for part in ranges.split(",") if part]
    if any(end is None or end >= _MOST_CORES for part in ends for end in part):
        return 1
    return max(1, len({core for part in ends for core in range(part[0] or 0, (part[-1] or 0) + 1)}))
