import pytest

from ofa_edge.device.measuring.session import session_from
from ofa_edge.device.measuring.watch import Tick, slowed, ticks_from
from ofa_edge.errors import DeviceRunError


def ticks(clocks, ceiling=1800):
    ceilings = ceiling if isinstance(ceiling, list) else [ceiling] * len(clocks)
    return [
        Tick(1000 * i, 50.0, (600, khz), (1500, top)) for i, (khz, top) in enumerate(zip(clocks, ceilings, strict=True))
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ticks([1800] * 9), False),
        (ticks([1800] * 4 + [1500] * 5), True),
        (ticks([1800] * 4 + [1700] * 5), False),  # a turbo clock wanders
        (ticks([1800, 1800, 1800, 900, 1800, 1800, 1800, 1800, 1800]), False),  # one low reading between two runs
        (ticks([1800, 1500, 1500]), False),  # too few to tell
        (ticks([1800] * 3, [1800, 1500, 1800]), True),  # a ceiling that fell is enough, however short
        (ticks([1800] * 3, [1500, 1800, 1800]), False),
        (ticks([None] * 9), False),
        ([], False),
    ],
)
def test_slowed(found, expected):
    assert slowed(found) is expected


def test_what_the_runner_prints():
    facts = {"watch": [[3, 51500, [1800], [1800]], [1004, None, [None], [1800]]]}
    assert ticks_from(facts) == (Tick(3, 51.5, (1800,), (1800,)), Tick(1004, None, (None,), (1800,)))
    for other in ({}, {"watch": 3}, {"watch": [1]}, {"watch": [[1, 2]]}, {"watch": [["x", None, [], []]]}):
        assert ticks_from(other) == ()
        if other:  # a watch that cannot be read must not pass for one that saw nothing
            with pytest.raises(DeviceRunError, match="latency"):
                session_from({**GOOD, **other}, None, "")


GOOD = {"latency_ns": [5, 6], "load_ns": 1, "first_ns": 2, "settled": True}


def test_a_session_in_which_the_clock_fell_is_invalid():
    facts = dict(GOOD)
    facts["watch"] = [[1000 * i, 70000, [khz], [1800]] for i, khz in enumerate([1800] * 5 + [1000] * 5)]
    found = session_from(facts, None, "")
    assert (found.valid, found.reason, len(found.ticks)) == (False, "throttled", 10)
    assert session_from(facts, None, "settings-changed").reason == "settings-changed"
