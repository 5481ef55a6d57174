"""The device that is meant, by what it tells of itself; nothing is changed on another one."""

from dataclasses import replace

import pytest
from scripted_device import POLICY, Scripted

from ofa_edge.device.conditions import Expected, prepared
from ofa_edge.device.conditions.identity import SERIALS, check_identity, serial_number
from ofa_edge.errors import DeviceBusyError

BUILD = "google/flame/flame:13/TP1A.221005.002/9012097:user/release-keys"


def phone(build=BUILD):
    device = Scripted({"getprop ro.serialno": "9A1AY1XYZ\n"})
    return device, replace(device.fingerprint(), build=build)


def board():
    return Scripted(files={SERIALS[0]: "10000000c0ffee\0", SERIALS[1]: "0123abcd\n"})


def test_the_boards_own_serial_number_comes_first():
    assert serial_number(board()) == "10000000c0ffee"
    assert serial_number(Scripted(files={SERIALS[1]: "0123abcd\n"})) == "0123abcd"
    assert serial_number(phone()[0]) == "9A1AY1XYZ"
    assert serial_number(Scripted()) == ""


def test_the_device_that_is_meant_passes():
    check_identity(*phone(), Expected("9A1AY1XYZ", BUILD))
    check_identity(board(), board().fingerprint(), Expected("10000000c0ffee"))
    check_identity(Scripted(), Scripted().fingerprint(), Expected())


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (Expected(serial="OTHER"), "wrong-device"),
        (Expected(serial="9A1AY1XY"), "wrong-device"),
        (Expected(build=BUILD.replace("13", "14")), "other-build"),
    ],
)
def test_another_phone_and_another_build_are_refused(expected, reason):
    with pytest.raises(DeviceBusyError) as caught:
        check_identity(*phone(), expected)
    assert caught.value.reason == reason
    assert "9A1AY1XYZ" not in str(caught.value)  # a serial number is published only as a pseudonym


def test_a_device_that_tells_nothing_is_not_the_one():
    with pytest.raises(DeviceBusyError, match="not the expected device") as caught:
        check_identity(Scripted(), Scripted().fingerprint(), Expected(serial="10000000c0ffee"))
    assert "no serial number" in caught.value.why
    with pytest.raises(DeviceBusyError):
        check_identity(*phone(build=None), Expected(build=BUILD))


def test_nothing_is_changed_on_another_device():
    device = Scripted(files={f"{POLICY}/scaling_governor": "schedutil", SERIALS[0]: "one"}, root=True)
    with pytest.raises(DeviceBusyError), prepared(device, Expected(serial="another")):
        pass
    assert device.pushed == {}
    assert device.files[f"{POLICY}/scaling_governor"] == "schedutil"
