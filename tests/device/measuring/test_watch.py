import pytest

from ofa_edge.device.measuring.session import session_from
from ofa_edge.device.measuring.watch import Tick, below_ceiling, slowed, ticks_from
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


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ticks([1800] * 9), False),
        (ticks([600] * 9), True),
        (ticks([900] * 9), True),
        (ticks([900] * 4 + [1800] * 5), False),
        (ticks([900] * 5), False),  # too few to tell
        (ticks([None] * 9, [None] * 9), True),  # the other policy alone is told, at 600 of 1500
        ([Tick(1, 50.0, (1500, 600), (1500, 1800))] * 9, False),  # a little core at its own ceiling does the work
        ([Tick(1, 50.0, (None,), (1800,))] * 9, False),
    ],
)
def test_a_clock_that_stays_low(found, expected):
    assert below_ceiling(found) is expected


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


def test_a_session_at_a_low_clock_is_invalid_where_clocks_have_no_turbo():
    watch = [[1000 * i, 50000, [600], [1800]] for i in range(9)]
    assert session_from({**GOOD, "watch": watch}, None, "", turbo=False).reason == "clock-low"
    assert session_from({**GOOD, "watch": watch}, None, "", turbo=True).valid
