"""What else runs on a device: the load average, and the share of processor time between two looks at /proc/stat.

The average is over a minute, and so has our own last session in it; the share is of the half second of one look, and
has only the shell commands of that look in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ofa_edge.device.connections.plain_text import whole_number

LOADAVG, STAT = "/proc/loadavg", "/proc/stat"
ONLINE, PRESENT = "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/present"
MOMENT = (STAT, LOADAVG, ONLINE, PRESENT)  # read at the begin and the end of a look
BUSY_CORES = 0.5  # more is warned of: the commands of a look take less
_MOST_CORES = 8192  # that a kernel is built for
_IDLE = (3, 4)  # of the fields of /proc/stat: idle, and waiting for a disk
_LEAST_TICKS = 20  # of a hundredth of a second: fewer say nothing


@dataclass(frozen=True)
class Load:
    """Attributes: processes that want to run, over a minute; processor time in use, in cores; cores that are on."""

    average: float | None
    busy_cores: float | None
    cores: int

    @property
    def words(self) -> str:
        """As reports have it; "" where nothing is told."""
        average = "" if self.average is None else f"{self.average:.2f} on {self.cores} cores"
        busy = "" if self.busy_cores is None else f"{self.busy_cores:.2f} cores in use"
        return ", ".join(part for part in (average, busy) if part)


def load_of(before: Mapping[str, str], after: Mapping[str, str]) -> Load:
    """The load by the texts of `LOADAVG`, `STAT` and `ONLINE`, read at the begin and the end of a look."""
    average = re.match(r"\d{1,7}\.\d+(?=\s)", after.get(LOADAVG, ""))
    cores = cores_in(after.get(ONLINE, ""))
    share = _share(before.get(STAT, ""), after.get(STAT, ""))
    return Load(float(average[0]) if average else None, None if share is None else share * cores, cores)


def _share(before: str, after: str) -> float | None:
    first, last = _ticks(before), _ticks(after)
    if first is None or last is None:
        return None
    spent = [now - then for then, now in zip(first, last, strict=True)]
    total = sum(spent)
    if total < _LEAST_TICKS or min(spent) < 0:
        return None
    return 1 - sum(spent[field] for field in _IDLE) / total


def _ticks(text: str) -> list[int] | None:
    found = re.match(r"cpu((?: +[0-9]{1,18}){8})", text)
    return [int(number) for number in found[1].split()] if found else None


def cores_in(ranges: str) -> int:
    """How many cores the kernel's list names: `0-3,6` are five.

    >>> cores_in("0-3,6")
    5
    """
    ends = [[whole_number(end) for end in part.split("-")] for part in ranges.split(",") if part]
    if any(end is None or end >= _MOST_CORES for part in ends for end in part):
        return 1
    return max(1, len({core for part in ends for core in range(part[0] or 0, (part[-1] or 0) + 1)}))
