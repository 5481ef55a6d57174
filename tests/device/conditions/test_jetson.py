"""Outputs of a Jetson Nano (JetPack 4) and an Orin Nano: two lines, `NV Power Mode: NAME` and the mode's number."""

import pytest
from scripted_device import POLICY, Scripted

from ofa_edge.device.conditions import DeviceConditions, prepared
from ofa_edge.device.conditions.jetson import Jetson, power_mode
from ofa_edge.errors import DeviceBusyError

MODEL = "NVIDIA Jetson Nano Developer Kit"
COUNT = "/sys/class/hwmon/hwmon4/oc3_event_cnt"


def board(root=False, mode="MAXN\n0", locks=0, **changes):
    sudo = "" if root else "sudo -n "
    programs = {
        f"{sudo}nvpmodel -q": f"NVPM WARN: fan mode is not set!\nNV Power Mode: {mode}\n",
        f"{sudo}jetson_clocks --store /tmp/private/clocks.conf": "",
        f"{sudo}jetson_clocks": (locks, ""),
        f"{sudo}jetson_clocks --restore /tmp/private/clocks.conf": "",
    }
    files = {COUNT: "7", f"{POLICY}/scaling_governor": "schedutil", f"{POLICY}/scaling_max_freq": "1479000"}
    return Scripted({**programs, **changes}, files, MODEL, root)


def clock_calls(device):
    return [call.removeprefix("sudo -n ") for call in device.calls if "jetson_clocks" in call]


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_clocks_are_locked_and_put_back(root, fails):
    device = board(root)
    try:
        with prepared(device) as found:
            assert clock_calls(device)[-1] == "jetson_clocks"
            found.before()
            assert found.facts["power mode"] == "MAXN (0)"
            assert not fails or 1 / 0
    except ZeroDivisionError:
        assert fails
    assert clock_calls(device)[-1] == "jetson_clocks --restore /tmp/private/clocks.conf"


def test_without_root_it_is_refused():
    device = board()
    device.programs["sudo -n jetson_clocks --store /tmp/private/clocks.conf"] = (1, "")
    with pytest.raises(DeviceBusyError) as caught, prepared(device):
        pytest.fail("not locked")
    assert caught.value.reason == "clocks-not-locked"
    assert len(clock_calls(device)) == 1


def test_clocks_that_were_half_locked_are_put_back():
    device = board(locks=1)
    with pytest.raises(DeviceBusyError), prepared(device):
        pytest.fail("not locked")
    assert clock_calls(device)[-1].startswith("jetson_clocks --restore")


def test_over_current_and_another_mode_spoil_a_session():
    device = board()
    found = DeviceConditions("nano", Jetson(device))
    found.before()
    assert found.after() is None
    device.files[COUNT] = "8"
    assert found.after() == "throttled"
    device.files[COUNT] = "7"
    device.programs["sudo -n nvpmodel -q"] = "NV Power Mode: 5W\n1\n"
    assert found.after() == "settings-changed"


def test_power_modes():
    assert power_mode("NV Power Mode: MAXN\n0\n") == "MAXN (0)"
    assert power_mode("NV Fan Mode:quiet\nNV Power Mode: 15W\n2\n") == "15W (2)"
    assert power_mode("NV Power Mode: MAXN_SUPER") == "MAXN_SUPER"
    assert power_mode("NVPM ERROR: cannot open") == ""
