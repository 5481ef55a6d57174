"""A Linux machine of no family that we know more about: clocks, their ceilings and governors, cores, heat, power, load.

This machine is told what is not as it could be; any other is refused for what stays as it is.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ofa_edge.device.conditions.cpufreq import (
    Policy,
    ceiling_events,
    clock_facts,
    clock_faults,
    fastest,
    most_khz,
    policies,
)
from ofa_edge.device.conditions.load import BUSY_CORES, MOMENT, ONLINE, PRESENT, cores_in, load_of
from ofa_edge.device.conditions.look import NOT_AVAILABLE, Fault, Look, hottest_c, read_files
from ofa_edge.device.connections.typed import typed
from ofa_edge.device.protocol import Connection

HOT_C = 80.0  # where small boards and thin laptops begin to slow down
_NEAR_C = 10.0  # so far below a ceiling may have fallen by heat, and comes back by itself
_BUSY = 0.5  # load by one, in processes a core
_TAKEN_CORES = 1.0  # by others: refused on a board
_BOOST, _NO_TURBO = "/sys/devices/system/cpu/cpufreq/boost", "/sys/devices/system/cpu/intel_pstate/no_turbo"
_PROFILE = "/sys/firmware/acpi/platform_profile"
_MAINS = ("/sys/class/power_supply/AC/online", "/sys/class/power_supply/ADP1/online")


@dataclass(frozen=True)
class Linux:
    """See `look.Family`."""

    connection: Connection
    name: str = "linux"
    hot_c: float = HOT_C
    board: bool = False  # all of it is ours while it is measured: no other load, every core on

    def look(self, clocks: Sequence[Policy] | None = None) -> Look:
        """See `look.Family`; `clocks`: its policies, where they were read just now."""
        begin = read_files(self.connection, [*MOMENT, _BOOST, _NO_TURBO, _PROFILE, *_MAINS])
        found = policies(self.connection) if clocks is None else clocks
        heat = hottest_c(self.connection)
        facts, faults, warnings = clock_facts(found), list[Fault](), list[str]()
        names = facts["governor"]
        if names not in (NOT_AVAILABLE, "performance"):
            warnings.append(f"governor {names}: clocks move under the measurement")
        facts["temperature"] = NOT_AVAILABLE if heat is None else f"{heat:.1f} C"
        if heat is not None and heat >= self.hot_c:
            words = f"{heat:.1f} C, {self.hot_c:.0f} allowed"
            faults.append(Fault("too-hot", words, "cool it", passes=True))
        levels = clock_faults(self.connection, found, heat is not None and heat >= self.hot_c - _NEAR_C)
        self._cores(begin, facts, levels, warnings)
        warnings += _power(begin, facts)
        self._load(begin, facts, levels, warnings)
        if self.connection.kind == "local":
            warnings += [each.words for each in levels]
        else:
            faults += levels
        settings = {"governor": facts["governor"], "cores": facts["cores"]}
        events = ceiling_events(found)
        return Look(tuple(faults), False, events, settings, facts, tuple(warnings), most_khz(found))

    def held(self) -> AbstractContextManager[None]:
        """See `look.Family`."""
        return fastest(self.connection)

    def _cores(self, begin: dict[str, str], facts: dict[str, str], levels: list[Fault], warnings: list[str]) -> None:
        if not begin.get(ONLINE) or not begin.get(PRESENT):
            facts["cores"] = NOT_AVAILABLE
            return
        online, present = cores_in(begin[ONLINE]), cores_in(begin[PRESENT])
        facts["cores"] = f"{online} of {present} on"
        if online < present:
            words = f"{present - online} of its {present} cores are switched off"
            if self.board:
                levels.append(Fault("cores-off", words, typed(self.connection, f"sudo chcpu -e {begin[PRESENT]}")))
            else:
                warnings.append(words)

    def _load(self, begin: dict[str, str], facts: dict[str, str], levels: list[Fault], warnings: list[str]) -> None:
        load = load_of(begin, read_files(self.connection, MOMENT))
        facts["load"] = load.words or NOT_AVAILABLE
        busy = load.busy_cores or 0.0
        if self.board and busy > _TAKEN_CORES:
            words = f"other programs run on its cores: {busy:.1f} of {load.cores} are in use"
            levels.append(Fault("busy", words, f"{typed(self.connection, 'top -b -n 1')} shows which", passes=True))
        elif busy > BUSY_CORES or (load.average or 0.0) > _BUSY * load.cores:
            warnings.append("other programs run on its cores")


def _power(begin: dict[str, str], facts: dict[str, str]) -> list[str]:
    """What a laptop or server says of its power; boards have none of it, and then nothing is said of it."""
    warnings = []
    if begin.get(_NO_TURBO) == "1" or begin.get(_BOOST) == "0":
        facts["boost"] = "off"
        warnings.append("its boost clocks are switched off")
    elif _NO_TURBO in begin or _BOOST in begin:
        facts["boost"] = "on"
    if profile := begin.get(_PROFILE):
        facts["power profile"] = profile[:40]
        if profile in ("low-power", "quiet", "cool"):
            warnings.append(f"power profile {profile}: it saves power")
    mains = [begin[path] for path in _MAINS if path in begin]
    if mains:
        facts["power"] = "mains" if "1" in mains else "battery"
        if "1" not in mains:
            warnings.append("it runs on its battery, and may save power")
    return warnings
