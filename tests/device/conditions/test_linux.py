import pytest
from scripted_device import POLICY, Scripted

from ofa_edge.device.conditions import DeviceConditions
from ofa_edge.device.conditions.linux import Linux
from ofa_edge.device.conditions.load import cores_in


def files(load="0.10", heat="45000", ceiling="1800000"):
    return {
        "/proc/loadavg": f"{load} 0.05 0.01 1/123 456",
        "/sys/devices/system/cpu/online": "0-3",
        "/sys/class/thermal/thermal_zone0/temp": heat,
        f"{POLICY}/scaling_max_freq": ceiling,
    }


def test_load_is_recorded_and_warned_of():
    quiet = Linux(Scripted(files=files())).look()
    assert quiet.facts["load"] == "0.10 on 4 cores"
    assert quiet.warnings == ()
    busy = Linux(Scripted(files=files(load="3.20"))).look()
    assert busy.warnings == ("other programs run on its cores",)
    assert busy.facts["load"] == "3.20 on 4 cores"
    assert busy.faults == ()


def test_heat_passes_by_itself():
    (fault,) = Linux(Scripted(files=files(heat="80000"))).look().faults
    assert (fault.code, fault.passes) == ("too-hot", True)
    assert Linux(Scripted(files=files(heat="79900"))).look().faults == ()


@pytest.mark.parametrize(("ceiling", "reason"), [("1800000", None), ("1500000", "throttled"), ("2000000", None)])
def test_a_ceiling_that_falls_is_throttling(ceiling, reason):
    device = Scripted(files=files())
    found = DeviceConditions("board", Linux(device))
    found.before()
    device.files[f"{POLICY}/scaling_max_freq"] = ceiling
    assert found.after() == reason


def test_a_machine_that_tells_nothing_can_be_measured():
    look = Linux(Scripted()).look()
    assert look.faults == ()
    assert set(look.facts.values()) == {"not available"}
    found = DeviceConditions("board", Linux(Scripted()))
    found.before()
    assert found.facts["not read"] == "governor, clock, clock ceiling, temperature, cores, load"


@pytest.mark.parametrize(
    ("ranges", "cores"),
    [
        ("0", 1),
        ("0-3", 4),
        ("0-1,4,6-7", 5),
        ("", 1),
        ("x-y", 1),
        ("0-²", 1),
        ("0-" + "9" * 5000, 1),
        ("0-99999999", 1),
    ],
)
def test_cores(ranges, cores):
    assert cores_in(ranges) == cores
