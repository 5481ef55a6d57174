"""How much slower a device gets under minutes of load: the factor of a target's `[sustained]` table."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ofa_edge.device.measuring.session import OpenArtifact, valid_sessions
from ofa_edge.device.protocol import LatencyPlan
from ofa_edge.errors import DeviceBusyError, UnsupportedError
from ofa_edge.workflows.profile import opened_build

_COLD = LatencyPlan(sessions=3, min_seconds=1.0, warmup_limit_seconds=3.0)
_HOT = LatencyPlan(sessions=1, min_seconds=5.0, warmup_seconds=0.0, warmup_limit_seconds=0.0)
_LEAST_HOT = 6  # sessions under load: two for each third
_STEADY = 0.03  # the last third may differ so much from the one before


@dataclass(frozen=True)
class SustainedSpeed:
    """A device under load.

    Attributes:
        device: its name.
        what: board or processor, as the device says.
        artifact: name of the artifact that was the load, and its threads.
        cold_ms: median of cold sessions, in the state that measuring needs.
        under_load: seconds since the load began and median ms, a session each.
        reason: why the load ended before its time; "" where it did not.
    """

    device: str
    what: str
    artifact: str
    cold_ms: float
    under_load: tuple[tuple[float, float], ...]
    reason: str = ""

    @property
    def hot_ms(self) -> float:
        """Median of the sessions in the last third of the time under load."""
        return self._third(2)

    @property
    def factor(self) -> float:
        """`hot_ms` in units of the cold latency; never under 1."""
        return max(1.0, self.hot_ms / self.cold_ms)

    @property
    def steady(self) -> bool:
        """Whether the last third is as fast as the one before it."""
        return abs(self.hot_ms / self._third(1) - 1) <= _STEADY

    def _third(self, index: int) -> float:
        count = len(self.under_load)
        return statistics.median(ms for _, ms in self.under_load[index * count // 3 : (index + 1) * count // 3])

    def table(self, cooling: str, date: str) -> str:
        """The table for the target's file."""
        minutes = self.under_load[-1][0] / 60
        source = f"ofa-edge sustain, {date}: {self.what}, {minutes:.0f} min of {self.artifact}; cooling: {cooling}"
        return f"[sustained]\nfactor = {self.factor:.2f}\nsource = {json.dumps(source, ensure_ascii=False)}\n"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        points = [{"seconds": round(seconds, 1), "p50_ms": ms} for seconds, ms in self.under_load]
        return {
            "device": self.device,
            "what": self.what,
            "artifact": self.artifact,
            "cold_ms": self.cold_ms,
            "under_load": points,
            "factor": self.factor,
            "steady": self.steady,
            "reason": self.reason,
        }


def sustain(
    folder: Path,
    device: str,
    minutes: float,
    data: Path | None = None,
    on_session: Callable[[float, float], None] = lambda _seconds, _ms: None,
) -> SustainedSpeed:
    """Measure a build's artifact cold, then run it without a pause for so many minutes.

    Args:
        folder: of a build.
        device: as after --device.
        minutes: of load.
        data: the image folder that the build was made with, if any.
        on_session: told seconds and median ms after each session under load.

    Raises:
        ConfigError: the folder is no build, or was changed after it; no device was named.
        UnsupportedError: the device is emulated, or so few sessions were made that they tell nothing.
        DeviceError: the device was lost, is taken, or its program failed.
    """
    with opened_build(folder, device, data, "measure") as (_, artifact):
        return measure_sustained(artifact, 60 * minutes, on_session)


def measure_sustained(
    artifact: OpenArtifact,
    seconds: float,
    on_session: Callable[[float, float], None] = lambda _seconds, _ms: None,
    clock: Callable[[], float] = time.monotonic,
) -> SustainedSpeed:
    """`sustain` on an artifact that lies ready on its device."""
    cold = statistics.median(session.p50_ms for session in valid_sessions(artifact, _COLD))
    heated = replace(artifact, conditions=None)  # heat and falling clocks are what is looked for, and spoil nothing
    points: list[tuple[float, float]] = []
    begin, reason = clock(), ""
    while not points or points[-1][0] < seconds:
        try:
            found = heated.session(_HOT)
        except DeviceBusyError as error:  # a phone's own guard against heat
            reason = f"{error.reason}: {error.why}"
            break
        points.append((clock() - begin, found.p50_ms))
        on_session(*points[-1])
    if len(points) < _LEAST_HOT:
        why = reason or f"{len(points)} sessions in {seconds:.0f} s"
        raise UnsupportedError("too little load to tell anything", why, "give more --minutes")
    prints, request = artifact.fingerprint, artifact.request
    threads = f"{request.threads} thread{'s' * (request.threads > 1)}"
    load = f"{request.artifact.name} ({threads})"
    return SustainedSpeed(artifact.connection.name, prints.model or prints.cpu, load, cold, tuple(points), reason)
