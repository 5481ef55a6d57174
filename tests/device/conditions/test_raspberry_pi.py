"""Bits and outputs: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""

import pytest
from scripted_device import Scripted

from ofa_edge.device.conditions import DeviceConditions
from ofa_edge.device.conditions.raspberry_pi import RaspberryPi, throttled_bits
from ofa_edge.errors import DeviceBusyError


def pi(*answers, heat="45000"):
    files = {"/sys/class/thermal/thermal_zone0/temp": heat}
    device = Scripted({"vcgencmd get_throttled": list(answers)}, files)
    return DeviceConditions("pi", RaspberryPi(device), deadline_s=0)


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("throttled=0x50000\n", "under-voltage", "0x50000: under-voltage, throttled since it started"),
        ("throttled=0x50005\n", "under-voltage", "0x50005: under-voltage, throttled"),
        ("throttled=0x80008\n", "throttled-since-boot", "soft temperature limit"),
        ("throttled=0xe0000\n", "throttled-since-boot", "frequency capped, throttled, soft temperature limit since"),
    ],
)
def test_a_board_that_was_held_back_is_refused(said, code, words):
    with pytest.raises(DeviceBusyError) as caught:
        pi(said).before()
    assert caught.value.reason == code
    assert words in caught.value.why


def test_the_question_is_asked_again_after():
    found = pi("throttled=0x0\n", "throttled=0x0\n")
    found.before()
    assert found.after() is None
    assert found.facts["throttled"] == "0x0"
    found = pi("throttled=0x0\n", "throttled=0x80000\n")
    found.before()
    assert found.after() == "throttled"


def test_a_warm_board_is_waited_for():
    with pytest.raises(DeviceBusyError) as caught:
        pi("throttled=0x0\n", heat="61000").before()
    assert caught.value.reason == "too-hot"


def test_without_vcgencmd_it_says_so():
    found = pi((127, ""))
    found.before()
    assert found.facts["throttled"] == "not available"
    assert found.after() is None


@pytest.mark.parametrize("said", ["", "throttled=", "error=1", "throttled=0x0 or so", "VCHI initialization failed"])
def test_other_answers_are_no_bits(said):
    assert throttled_bits(said) is None
