import math
from dataclasses import replace

import pytest
from paired_sessions import HERE, sessions

from ofa_edge.verify.night import advance, decide, judge_night
from ofa_edge.verify.regression import Colour, Past, Rules, Sessions, look

NONE = Sessions((), ())


FIRST = Past()


def judged(*runs, past=FIRST, fingerprint=HERE, others=0):
    """One series that is measured as `runs` say, beside `others` that are quiet."""
    left = list(runs)
    names = ["it", *(f"other {index}" for index in range(others))]

    def measure(name):
        if name != "it":
            return sessions(0.0, seed=99)
        return left.pop(0) if left else None

    night = judge_night(measure, {name: past if name == "it" else Past() for name in names}, fingerprint)
    return night, night.decisions["it"]


def test_red_needs_two_runs_that_agree():
    night, found = judged(sessions(0.10), sessions(0.10, seed=1))
    assert (found.colour, found.code, night.runs) == (Colour.RED, "regression", 2)
    assert found.ratio == pytest.approx(0.10, abs=0.01)


def test_red_is_reached_beside_many_series():
    # Eight pairs alone could not: their smallest p is 1/256, and Holm asks for 0.01/20.
    assert judged(sessions(0.10), sessions(0.10, seed=1), others=19)[1].colour is Colour.RED


def ratios(*logs):
    return Sessions((2.0,) * len(logs), tuple(2.0 * math.exp(log) for log in logs))


@pytest.mark.parametrize(
    ("runs", "code"),
    [
        ([sessions(0.10), sessions(0.0)], "rerun-disagrees"),
        ([sessions(0.10)], "not-confirmed"),
        ([sessions(0.10), NONE, NONE, NONE], "not-confirmed"),
        ([sessions(0.03)], "evidence-of-little"),
        ([ratios(0.07, 0.08, 0.09, 0.11, 0.12, -0.03, -0.04, -0.05)], "effect-without-evidence"),
    ],
)
def test_yellow(runs, code):
    found = judged(*runs)[1]
    assert (found.colour, found.code) == (Colour.YELLOW, code)


def test_a_spoiled_run_is_made_again():
    night, found = judged(NONE, sessions(0.10), NONE, sessions(0.10, seed=1))
    assert found.colour is Colour.RED
    assert night.runs == 4


def test_but_not_for_ever():
    night, found = judged(*[NONE] * 9)
    assert (found.colour, found.code) == (Colour.INCONCLUSIVE, "too-few-pairs")
    assert night.runs == 1 + Rules().retries


def test_a_golden_that_stays_moved_is_never_red():
    moved = sessions(0.5, golden_ms=3.0)
    night, found = judged(moved, moved, moved, past=Past(HERE, golden_ms=(2.0,) * 5))
    assert (found.colour, found.code, night.runs) == (Colour.INCONCLUSIVE, "golden-moved", 3)


def test_a_golden_that_was_moved_for_minutes_costs_a_run():
    past = Past(HERE, golden_ms=(2.0,) * 5)
    night, found = judged(sessions(0.1), sessions(0.1, golden_ms=2.3), sessions(0.1, seed=1), past=past)
    assert (found.colour, night.runs) == (Colour.RED, 3)


def test_little_by_little_is_seen_in_the_series():
    quiet = tuple(0.004 * (-1) ** index for index in range(20))
    past = Past(HERE, quiet, (2.0,) * 20, quiet + tuple(0.04 + 0.001 * index for index in range(9)))
    noisy = sessions(0.042, scatter=0.06, seed=2)
    first = look(noisy, past, HERE, Rules(most_visible=9.0))
    found = decide({"it": first}, {})["it"]
    assert first.change is not None
    assert (found.colour, found.code) == (Colour.YELLOW, "change-point")


def test_a_night_enters_the_past_by_its_verdict():
    past = Past(HERE, (0.0,), (2.0,), (0.0,))
    green = advance(past, HERE, Colour.GREEN, 0.01, 2.1, 0.02)
    assert green == Past(HERE, (0.0, 0.02), (2.0, 2.1), (0.0, 0.01))
    red = advance(past, HERE, Colour.RED, 0.2, 2.1, 0.02)
    assert red == Past(HERE, (0.0,), (2.0, 2.1), (0.0, 0.2))  # a RED night's scatter is not accepted
    lost = advance(past, HERE, Colour.INCONCLUSIVE, 0.2, 2.4, 0.02)
    assert lost == Past(HERE, (0.0,), (2.0, 2.4), (0.0,))


def test_another_fingerprint_begins_an_epoch():
    past = Past(HERE, (0.0,), (2.0,), (0.0,))
    night, found = judged(sessions(0.3), past=past, fingerprint="new")
    assert (found.colour, found.code) == (Colour.INCONCLUSIVE, "fingerprint-changed")
    assert night.pasts["it"].fingerprint == "new"
    assert night.pasts["it"].aa_ratios == night.pasts["it"].ratios == ()
    assert (
        judged(sessions(0.3), sessions(0.3, seed=1), past=night.pasts["it"], fingerprint="new")[1].colour is Colour.RED
    )


def test_a_golden_that_stays_slower_becomes_usual():
    past, slower = Past(HERE, golden_ms=(2.0,) * 20), sessions(0.0, golden_ms=2.4)
    colours = []
    for _ in range(14):
        night, found = judged(slower, slower, slower, past=past)
        past = night.pasts["it"]
        colours.append(found.colour)
    assert colours[0] is Colour.INCONCLUSIVE
    assert colours[-1] is Colour.GREEN


def test_invalid_sessions_are_no_figures():
    run = sessions(0.1)
    holed = replace(run, candidate=(math.nan, math.nan, math.nan, *run.candidate[3:]))
    assert judged(holed, holed, holed)[1].code == "too-few-pairs"
