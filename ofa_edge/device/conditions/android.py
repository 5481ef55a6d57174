"""Android: half a battery or a charger, and no thermal throttling, by `dumpsys`.

Formats: `dumpsys battery` is BatteryService's dump (frameworks/base, services/core/java/com/android/server), where
`status` is a BatteryManager constant, 2 charging and 5 full; `dumpsys thermalservice` (from Android 10 on) prints
`Thermal Status:` with PowerManager's THERMAL_STATUS constants, 0 none to 6 shutdown.
"""

import contextlib
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ofa_edge.device.conditions.cpufreq import ceilings, fastest, governors
from ofa_edge.device.conditions.look import Fault, Look, ask
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.protocol import Connection

LEAST_BATTERY = 50  # percent
_CHARGING = ("2", "5")
_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True)
class Android:
    """See `look.Family`."""

    connection: Connection
    name: str = "android"

    def look(self) -> Look:
        """See `look.Family`."""
        build = ask(self.connection, ["getprop", "ro.build.fingerprint"]).strip()
        battery = battery_facts(ask(self.connection, ["dumpsys", "battery"]))
        status = thermal_status(ask(self.connection, ["dumpsys", "thermalservice"]))
        faults = _power(battery)
        facts = {"build": build or "not available", "battery": battery.get("level", "?") + " %"}
        warnings: list[str] = []
        if status is None:
            facts["thermal status"] = "not available"
            warnings.append("no thermal status (Android 10 and newer have one): the watch alone sees throttling")
        else:
            word = _STATUS[status] if status < len(_STATUS) else "unknown"
            facts["thermal status"] = f"{status} ({word})"
            if status > 0:
                faults.append(Fault("too-hot", f"thermal status {status} ({word})", "let it cool", passes=True))
        facts["governor"] = ", ".join(sorted(set(governors(self.connection).values()))) or "not available"
        events = {f"{path} below": -value for path, value in ceilings(self.connection).items()}
        settings = {"governor": facts["governor"], "build": build}
        return Look(tuple(faults), bool(status), events, settings, facts, tuple(warnings))

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection) if governors(self.connection) else contextlib.nullcontext()


def battery_facts(said: str) -> dict[str, str]:
    """The `name: value` lines of `dumpsys battery`; none where it is something else."""
    if "Current Battery Service state" not in said:
        return {}
    return dict(re.findall(r"^\s*([A-Za-z][A-Za-z ]*): (\S+)\s*$", said, re.MULTILINE))


def thermal_status(said: str) -> int | None:
    """The status that `dumpsys thermalservice` prints, 0 for none; None where it prints none."""
    found = re.search(r"^\s*Thermal Status: (\d+)\s*$", said, re.MULTILINE)
    return whole_number(found[1]) if found else None


def _power(battery: dict[str, str]) -> list[Fault]:
    level = whole_number(battery.get("level", ""))
    if level is None:
        return [Fault("battery-unknown", "dumpsys battery gives no level", "is this a phone with a battery service?")]
    powered = any(value == "true" for name, value in battery.items() if name.endswith(" powered"))
    if level >= LEAST_BATTERY or powered or battery.get("status") in _CHARGING:
        return []
    return [Fault("battery-low", f"{level} % and not charging, {LEAST_BATTERY} % needed", "plug it in")]
