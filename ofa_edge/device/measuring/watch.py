"""What the runner saw of its own device while it measured, and whether it was slowed down meanwhile.

The runner itself reads heat and clocks, once a second, between two timed runs: a handful of reads of kernel files. A
look from here would start a process on the device through sshd or adbd every second, which costs a small board more
than many an inference, and would come back late when the device is busiest.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEAST_SHARE = 0.9  # of the clock at the start; a board that throttles falls by a step of 10 % or more
_MOST = 10**12
_LEAST_TICKS = 6  # fewer have no first and last third


@dataclass(frozen=True)
class Tick:
    """One look: when, the hottest zone, and the clock of each frequency policy with its ceiling; None if unreadable."""

    ms: int
    heat_c: float | None
    khz: tuple[int | None, ...]
    ceilings_khz: tuple[int | None, ...]


def ticks_from(facts: Mapping[str, Any]) -> tuple[Tick, ...]:
    """The ticks that a runner printed; none where it printed none, or nothing readable."""
    try:
        return tuple(_tick(*tick) for tick in facts.get("watch", ()))
    except (TypeError, ValueError):
        return ()


def _tick(ms: Any, heat: Any, clocks: Any, ceilings: Any) -> Tick:
    """Raises ValueError for anything but whole numbers, and None where a file could not be read."""
    values = [ms, *([] if heat is None else [heat]), *(value for value in (*clocks, *ceilings) if value is not None)]
    if not all(type(value) is int and abs(value) < _MOST for value in values):
        raise ValueError("not a tick")
    return Tick(ms, None if heat is None else heat / 1000, tuple(clocks), tuple(ceilings))


def below_ceiling(ticks: Sequence[Tick]) -> bool:
    """Whether the fastest clock, beside its own ceiling, stood low for half of a session or more: a slow governor.

    Of cores without turbo clocks only: those reach their ceiling when they work.
    """
    shares = [
        max((now / top for now, top in zip(tick.khz, tick.ceilings_khz, strict=False) if now and top), default=None)
        for tick in ticks
    ]
    known = [share for share in shares if share is not None]
    return len(known) >= _LEAST_TICKS and statistics.median(known) < _LEAST_SHARE


def slowed(ticks: Sequence[Tick]) -> bool:
    """Whether heat or power held the device back: a ceiling fell, or the fastest clock fell by 10 % and stayed there.

    The fastest clock, because the others may be idle; its fall within a session, because a turbo clock never reaches
    its ceiling.
    """
    if not ticks:
        return False
    for policy in zip(*(tick.ceilings_khz for tick in ticks), strict=False):
        known = [value for value in policy if value is not None]
        if known and min(known) < known[0]:
            return True
    fastest = [max((value for value in tick.khz if value), default=0) for tick in ticks]
    if len(fastest) < _LEAST_TICKS or not all(fastest):
        return False
    third = len(fastest) // 3
    return statistics.median(fastest[-third:]) < _LEAST_SHARE * statistics.median(fastest[:third])
