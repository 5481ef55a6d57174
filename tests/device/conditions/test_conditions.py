"""Which family a device is, waiting for it, and the verdict on a session, whatever the family."""

import pytest
from scripted_device import POLICY, Clock, Scripted

from ofa_edge.device.conditions import DeviceConditions, family_of, prepared
from ofa_edge.device.conditions.look import Fault, Look, hottest_c
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.errors import DeviceBusyError

HOT = Fault("too-hot", "81.0 C", "cool it", passes=True)
FLAT = Fault("battery-low", "9 %", "plug it in")


class Looks:
    """A family that looks as it is told to."""

    name = "told"

    def __init__(self, *looks):
        self.looks = list(looks)

    def look(self):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def conditions(*looks, deadline_s=60.0):
    clock = Clock()
    return DeviceConditions("pi", Looks(*looks), deadline_s, clock.sleep, clock), clock


@pytest.mark.parametrize(
    ("programs", "model", "expected"),
    [
        ({"getprop ro.build.version.release": "14\n"}, "", "android"),
        ({}, "Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi"),
        ({}, "NVIDIA Jetson Nano Developer Kit", "jetson"),
        ({}, "NVIDIA Orin Nano Developer Kit", "jetson"),
        ({}, "ThinkPad X1", "linux"),
        ({}, "", "linux"),
        ({"getprop ro.build.version.release": "\n"}, "", "linux"),
    ],
)
def test_the_family_is_found_on_the_device(programs, model, expected):
    device = Scripted(programs, model=model)
    assert family_of(device, device.fingerprint()).name == expected


def test_a_hot_device_is_waited_for():
    found, clock = conditions(Look((HOT,)), Look((HOT,)), Look(facts={"temperature": "40.0 C"}))
    found.before()
    assert clock.now == 10
    assert found.facts == {"family": "told", "temperature": "40.0 C"}


def test_a_device_that_stays_hot_is_given_up_at_the_deadline():
    found, clock = conditions(Look((HOT,)))
    with pytest.raises(DeviceBusyError) as caught:
        found.before()
    assert caught.value.reason == "too-hot"
    assert "after 60 s" in caught.value.why
    assert clock.now == 60


def test_what_does_not_pass_is_not_waited_for():
    found, clock = conditions(Look((HOT, FLAT)))
    with pytest.raises(DeviceBusyError) as caught:
        found.before()
    assert (caught.value.reason, caught.value.hint, clock.now) == ("battery-low", "plug it in", 0)


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (Look(events={"over-current": 3}, settings={"governor": "performance"}), None),
        (Look(events={"over-current": 4}, settings={"governor": "performance"}), "throttled"),
        (Look(slowed=True, events={"over-current": 3}, settings={"governor": "performance"}), "throttled"),
        (Look(events={"over-current": 3}, settings={"governor": "powersave"}), "settings-changed"),
        (Look(events={"over-current": 3, "new": 4}, settings={"governor": "performance"}), None),
        (
            Look(events={}, settings={"governor": "performance"}),
            "state-unknown",
        ),  # what it said before, it says no more
    ],
)
def test_a_session_is_judged_by_what_changed(after, reason):
    found, _ = conditions(Look(events={"over-current": 3}, settings={"governor": "performance"}), after)
    found.before()
    assert found.after() == reason


def test_a_warning_is_given_once(caplog):
    found, _ = conditions(Look(warnings=("other programs run",)))
    found.before()
    found.before()
    assert [record.message for record in caplog.records] == ["pi: other programs run"]


def test_a_lease_that_was_lost_ends_the_session_before_it_begins():
    def lost():
        raise DeviceBusyError("the lease of pi was lost", "another run took it", "again", reason="lease-lost")

    found = DeviceConditions("pi", Looks(), check_lease=lost)  # which has nothing to look at
    with pytest.raises(DeviceBusyError) as caught:
        found.before()
    assert caught.value.reason == "lease-lost"


def test_sensors_that_tell_nothing_are_left_out():
    zones = {
        f"/sys/class/thermal/thermal_zone{number}/{name}": text
        for number, (kind, heat) in enumerate([("cpu", "51500"), ("PMIC-Die", "100000"), ("off", "0"), ("x", "n/a")])
        for name, text in (("type", kind), ("temp", heat))
    }
    assert hottest_c(Scripted(files=zones)) == 51.5
    assert hottest_c(Scripted()) is None


def test_this_machine_has_conditions():
    with prepared(LocalConnection()) as found:
        found.before()
        assert found.after() in (None, "throttled")  # another program may have it slowed down, nothing else can be
    assert found.facts["family"] in ("linux", "raspberry-pi", "jetson")
    assert "cores" in found.facts["load"]


@pytest.mark.parametrize("fails", [False, True])
def test_the_governor_is_changed_by_root_alone_and_put_back(fails):
    file = f"{POLICY}/scaling_governor"
    device = Scripted(files={file: "schedutil"}, root=True)
    try:
        with prepared(device) as found:
            assert device.files[file] == "performance\n"
            found.before()
            assert found.facts["governor"] == "performance"
            assert not fails or 1 / 0
    except ZeroDivisionError:
        assert fails
    assert device.files[file] == "schedutil\n"


def test_without_root_the_governor_is_recorded_and_warned_of(caplog):
    device = Scripted(files={f"{POLICY}/scaling_governor": "ondemand"})
    with prepared(device) as found:
        found.before()
    assert found.facts["governor"] == "ondemand"
    assert "governor ondemand" in caplog.text
    assert not any(call.startswith("cp") for call in device.calls)


def test_a_fact_that_is_no_longer_told_makes_a_session_count_for_nothing():
    found, _ = conditions(Look(facts={"throttled": "0x0"}), Look(facts={"throttled": "not available"}))
    found.before()
    assert found.after() == "state-unknown"
    found, _ = conditions(Look(facts={"throttled": "not available"}), Look(facts={"throttled": "not available"}))
    found.before()
    assert found.after() is None
