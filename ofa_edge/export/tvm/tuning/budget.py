"""How long tuning may take: a duration as users write it, and what is left of it."""

import re
import time
from collections.abc import Callable

from ofa_edge.errors import ConfigError

Clock = Callable[[], float]
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")


def parse_duration(text: str, option: str = "--tune") -> float:
    """Seconds of "90s", "5m" or "1h"; "0" is none at all.

    Raises:
        ConfigError: anything else.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        none = "; 0 for none" if option == "--tune" else ""
        what = "bad tuning budget" if option == "--tune" else "bad budget"
        raise ConfigError(what, f"{option} {text}", f"give a duration: 90s, 5m or 1h{none}")
    return float(match[1]) * _UNITS[match[2]]


class Budget:
    """Seconds that run from now on."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        """Args: how many, and what tells the time."""
        self._clock = clock
        self._start = clock()
        self.seconds = seconds

    def spent(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def left(self) -> float:
        """Seconds that are left, 0 at least."""
        return max(0.0, self.seconds - self.spent())
