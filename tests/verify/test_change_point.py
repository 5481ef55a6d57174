import numpy as np
import pytest

from ofa_edge.verify.change_point import find_change


def test_a_clear_step_is_found_where_it_is():
    rng = np.random.default_rng(3)
    found = find_change(np.concatenate([rng.normal(0, 0.01, 20), rng.normal(0.04, 0.01, 10)]))
    assert found is not None
    assert found.nights_since == 10
    assert found.shift == pytest.approx(0.04, abs=0.01)
    assert found.p < 0.001


def test_a_step_down_is_none():
    found = find_change(np.concatenate([np.full(20, 0.04), np.zeros(10)]) + np.linspace(0, 1e-4, 30))
    assert found is not None
    assert found.p > 0.5


def test_nights_that_are_all_the_same_have_no_change():
    assert find_change(np.zeros(30)).p > 0.9
    assert find_change(np.r_[np.zeros(20), np.full(10, 0.04)]).p < 0.001  # ties on both sides hide none


def test_a_short_series_has_no_change():
    assert find_change(np.arange(5.0)) is None


@pytest.mark.parametrize("nights", [8, 15, 30])
def test_the_level_holds_for_any_noise(nights):
    rng = np.random.default_rng(nights)
    series = rng.standard_t(2, (2000, nights))  # heavy tails: ranks do not mind
    alarms = sum(found.p <= 0.05 for found in map(find_change, series) if found)
    assert 0.025 < alarms / 2000 <= 0.065
