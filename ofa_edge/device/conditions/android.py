"""Android: half a battery or a charger, and no thermal throttling, by `dumpsys`.

Formats: `dumpsys battery` is BatteryService's dump (frameworks/base, services/core/java/com/android/server), where
`status` is a BatteryManager constant, 2 charging and 5 full; `dumpsys thermalservice` (from Android 10 on) prints
`Thermal Status:` with PowerManager's THERMAL_STATUS constants, 0 none to 6 shutdown.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ofa_edge.device.conditions.cpufreq import ceiling_events, clock_facts, clock_faults, fastest, most_khz, policies
from ofa_edge.device.conditions.load import BUSY_CORES, MOMENT, load_of
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, ask, read_files
from ofa_edge.device.connections.plain_text import whole_number
from ofa_edge.device.connections.typed import typed
from ofa_edge.device.protocol import Connection

LEAST_BATTERY = 50  # percent
_RELEASE = "let it cool, turn off power saving and game modes of its maker's, then restart it"
_CHARGING = ("2", "5")
_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True)
class Android:
    """See `look.Family`."""

    connection: Connection
    name: str = "android"

    def look(self) -> Look:
        """See `look.Family`."""
        begin = read_files(self.connection, MOMENT)
        build = ask(self.connection, ["getprop", "ro.build.fingerprint"]).strip()
        battery = battery_facts(ask(self.connection, ["dumpsys", "battery"]))
        status = thermal_status(ask(self.connection, ["dumpsys", "thermalservice"]))
        faults = _power(battery)
        facts = {"build": build or NOT_AVAILABLE, "battery": battery.get("level", "?") + " %"}
        warnings: list[str] = []
        if status is None:
            facts["thermal status"] = NOT_AVAILABLE
            warnings.append("no thermal status (Android 10 and newer have one): the watch alone sees throttling")
        else:
            word = _STATUS[status] if status < len(_STATUS) else "unknown"
            facts["thermal status"] = f"{status} ({word})"
            if status > 0:
                faults.append(Fault("too-hot", f"thermal status {status} ({word})", "let it cool", passes=True))
        saver = ask(self.connection, ["settings", "get", "global", "low_power"]).strip()
        facts["battery saver"] = {"": NOT_AVAILABLE, "1": "on"}.get(saver, "off")
        if saver == "1":
            hint = typed(self.connection, "settings put global low_power 0")
            faults.append(Fault("battery-saver", "battery saver is on: it lowers clocks", hint))
        heat = whole_number(battery.get("temperature", ""))
        facts["battery temperature"] = NOT_AVAILABLE if heat is None else f"{heat / 10:.1f} C"
        found = policies(self.connection)
        facts |= clock_facts(found)
        # Nobody but the system may write a phone's ceilings: heat or a mode of its maker's holds them.
        faults += [replace(each, hint=_RELEASE) for each in clock_faults(self.connection, found, passes=bool(status))]
        load = load_of(begin, read_files(self.connection, MOMENT))
        facts["load"] = load.words or NOT_AVAILABLE
        if (load.busy_cores or 0.0) > BUSY_CORES:
            warnings.append("other programs run on its cores")
        settings = {"governor": facts["governor"], "build": build}
        events = ceiling_events(found)
        return Look(tuple(faults), bool(status), events, settings, facts, tuple(warnings), most_khz(found))

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection)


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
