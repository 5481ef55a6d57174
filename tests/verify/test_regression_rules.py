import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paired_sessions import HERE, sessions

from ofa_edge.verify.regression import Past, Rules, Sessions, in_pairs, is_golden, look

RULES = Rules()


def test_sessions_are_paired_as_they_were_measured():
    assert [is_golden(place) for place in range(8)] == [True, False, False, True] * 2
    found = in_pairs([1.0, 2.0, 4.0, 3.0, 5.0, 6.0, 8.0, 7.0, 99.0])
    assert found == Sessions((1.0, 3.0, 5.0, 7.0), (2.0, 4.0, 6.0, 8.0))


def test_a_steady_drift_is_no_difference():
    drifting = in_pairs(np.exp(0.02 * np.arange(16)).tolist())
    assert np.median(drifting.log_ratios) == pytest.approx(0.0, abs=1e-9)
    assert drifting.aa_ratio == pytest.approx(0.0, abs=1e-9)


def test_an_invalid_session_takes_its_pair_along():
    found = Sessions((1.0, math.nan, 1.0), (1.0, 1.0, math.nan))
    assert len(found.log_ratios) == 1


def test_a_slower_candidate_is_suspected():
    seen = look(sessions(0.10), Past(), HERE)
    assert seen.suspected()
    assert seen.ratio == pytest.approx(0.10, abs=0.01)


def test_the_same_is_not():
    seen = look(sessions(0.0), Past(), HERE)
    assert not seen.has_effect()
    assert seen.blocked is None


@given(st.floats(0.0, 0.03), st.integers(0, 50))
def test_what_a_run_says_that_it_could_have_seen_it_would_have(scatter, seed):
    quiet = sessions(0.0, scatter, seed=seed)
    seen = look(quiet, Past(), HERE)
    shift = math.exp(seen.visible - seen.ratio + 1e-9)
    slower = Sessions(quiet.golden, tuple(value * shift for value in quiet.candidate))
    found = look(slower, Past(), HERE, Rules(most_visible=10.0))
    assert found.has_effect()
    assert found.has_evidence()


def test_a_series_that_scatters_raises_its_own_threshold():
    wide = Past(HERE, aa_ratios=tuple(0.04 * (-1) ** index for index in range(20)))
    seen = look(sessions(0.10), wide, HERE)
    assert seen.threshold == pytest.approx(0.12)
    assert not seen.has_effect()


@pytest.mark.parametrize(
    ("run", "past", "fingerprint", "code"),
    [
        (sessions(0.1, pairs=5), Past(), HERE, "too-few-pairs"),
        (sessions(0.1), Past("another"), HERE, "fingerprint-changed"),
        (sessions(0.1, golden_ms=2.2), Past(HERE, golden_ms=(2.0, 2.01, 1.99)), HERE, "golden-moved"),
        (sessions(0.1, scatter=0.2), Past(), HERE, "too-noisy"),
    ],
)
def test_what_proves_nothing(run, past, fingerprint, code):
    seen = look(run, past, fingerprint)
    assert seen.blocked is not None
    assert seen.blocked[0] == code
    assert not seen.suspected()
    assert seen.visible > 0  # said whatever the verdict


def test_a_golden_that_always_moves_may():
    moving = Past(HERE, golden_ms=tuple(2.0 + 0.1 * (-1) ** index for index in range(20)))
    assert look(sessions(0.0, golden_ms=2.15), moving, HERE).blocked is None


def test_no_sessions_at_all():
    seen = look(Sessions((), ()), Past(), HERE)
    assert seen.blocked is not None
    assert math.isinf(seen.visible)
