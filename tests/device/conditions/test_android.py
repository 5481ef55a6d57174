"""Outputs as phones print them: the battery's by BatteryService.java, the thermal one of a Galaxy A52 on Android 12
(https://android.stackexchange.com/questions/246774), shortened."""

import pytest
from scripted_device import POLICY, Scripted

from ofa_edge.device.conditions import DeviceConditions
from ofa_edge.device.conditions.android import Android, battery_facts, thermal_status
from ofa_edge.errors import DeviceBusyError

BUILD = "google/flame/flame:13/TP1A.221005.002/9012097:user/release-keys"
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: {usb}
  Wireless powered: false
  Max charging current: 500000
  status: {status}
  health: 2
  present: true
  level: {level}
  scale: 100
  voltage: 3872
  temperature: 280
  technology: Li-poly
"""
THERMAL = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
Thermal Status: {}
Cached temperatures:
\tTemperature{{mValue=25.6, mType=0, mName=AP, mStatus=0}}
\tTemperature{{mValue=23.8, mType=2, mName=BAT, mStatus=0}}
HAL Ready: true
"""


def phone(level=80, usb="false", status=3, thermal=("0",), build=BUILD, **files):
    programs = {
        "dumpsys battery": BATTERY.format(level=level, usb=usb, status=status),
        "dumpsys thermalservice": [THERMAL.format(value) for value in thermal],
        "getprop ro.build.fingerprint": build + "\n",
    }
    policy = {"scaling_governor": "schedutil", "scaling_cur_freq": "300000", "scaling_max_freq": "2841600"}
    told = {f"{POLICY}/{name}": text for name, text in {**policy, "cpuinfo_max_freq": "2841600"}.items()}
    load = {"/proc/loadavg": "0.20 0.10 0.10 1/900 1", "/sys/devices/system/cpu/online": "0-7"}
    programs["settings get global low_power"] = "0\n"
    device = Scripted(programs, {**told, **load, **files})
    return DeviceConditions("phone", Android(device), deadline_s=0), device


def refusal(found):
    with pytest.raises(DeviceBusyError) as caught:
        found.before()
    return caught.value


def test_a_phone_that_is_fit():
    found, _ = phone()
    found.before()
    assert found.after() is None
    expected = {"build": BUILD, "battery": "80 %", "thermal status": "0 (none)", "governor": "schedutil"}
    levels = {"battery saver": "off", "battery temperature": "28.0 C", "clock": "0.30 GHz", "load": "0.20 on 8 cores"}
    ceiling = {"clock ceiling": "2.84 GHz of 2.84 GHz"}
    assert found.facts == {"family": "android", **expected, **levels, **ceiling}


@pytest.mark.parametrize(
    ("level", "usb", "status", "fit"),
    [(50, "false", 3, True), (49, "false", 3, False), (49, "true", 2, True), (9, "false", 2, True)],
)
def test_half_a_battery_or_a_charger(level, usb, status, fit):
    found, _ = phone(level, usb, status)
    if fit:
        found.before()
    else:
        assert refusal(found).reason == "battery-low"


def test_a_hot_phone_is_waited_for_and_a_session_that_heated_it_is_invalid():
    assert refusal(phone(thermal=["2"])[0]).reason == "too-hot"
    found, _ = phone(thermal=["0", "1"])
    found.before()
    assert found.after() == "throttled"


def test_old_phones_have_no_thermal_status_and_it_is_said():
    found, device = phone()
    device.programs["dumpsys thermalservice"] = "Can't find service: thermalservice\n"
    found.before()
    assert found.facts["thermal status"] == "not available"


def test_a_phone_whose_battery_says_nothing_is_refused():
    found, device = phone()
    device.programs["dumpsys battery"] = "Can't find service: battery\n"
    assert refusal(found).reason == "battery-unknown"


@pytest.mark.parametrize("level", ["²", "9" * 5000, "1e2"])
def test_a_level_that_is_no_number_is_refused(level):
    assert refusal(phone(level=level)[0]).reason == "battery-unknown"


def test_parsing():
    facts = battery_facts(BATTERY.format(level=44, usb="true", status=2))
    assert (facts["level"], facts["USB powered"], facts["Wireless powered"]) == ("44", "true", "false")
    assert battery_facts("level: 44") == {}
    assert thermal_status(THERMAL.format(3)) == 3
    for strange in ("hot", "9" * 5000, "²"):
        assert thermal_status(f"Thermal Status: {strange}") is None
