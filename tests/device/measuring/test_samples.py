import numpy as np
import pytest

from ofa_edge.device.measuring.samples import Session, bootstrap_interval, check_plausible, summarise
from ofa_edge.errors import DeviceError


def session(*milliseconds, load=5e6, first=2e6, settled=True):
    return Session(tuple(int(value * 1e6) for value in milliseconds), int(load), int(first), settled)


def test_figures_of_known_samples():
    found = summarise([session(*([2.0] * 9), 4.0), session(*([3.0] * 10)), session(*([10.0] * 10))], threads=4)
    assert (found.p50_ms, found.min_ms, found.runs, found.sessions, found.threads) == (3.0, 2.0, 30, 3, 4)
    assert found.p90_ms == 3.0  # of 2.2, 3.0 and 10.0
    assert (found.load_ms, found.first_ms) == (5.0, 2.0)
    assert (found.low95_ms, found.high95_ms) == (2.0, 10.0)
    assert found.mad_ms == 1.0
    assert found.settled


def test_a_session_counts_once_however_long_it_is():
    long, short = session(*([9.0] * 5000)), session(*([1.0] * 100))
    assert summarise([long, short, short], threads=1).p50_ms == 1.0


def test_the_99th_percentile_needs_a_thousand_samples():
    assert summarise([session(*np.linspace(1, 2, 999))], 1).p99_ms is None
    assert summarise([session(*np.linspace(1, 2, 1001))], 1).p99_ms == pytest.approx(1.99, abs=1e-3)


def test_one_unsettled_session_is_told():
    assert not summarise([session(1.0), session(1.0, settled=False)], 1).settled


def test_the_interval_is_repeatable_and_narrows_with_sessions():
    random = np.random.default_rng(5)
    few, many = random.normal(10, 1, 5), random.normal(10, 1, 60)
    assert bootstrap_interval(few) == bootstrap_interval(few)
    low, high = bootstrap_interval(many)
    assert low < 10.2
    assert high > 9.8
    assert high - low < np.ptp(bootstrap_interval(few))


@pytest.mark.parametrize("sessions", [[], [session()]])
def test_no_samples_is_no_latency(sessions):
    with pytest.raises(DeviceError, match="no latency samples"):
        summarise(sessions, 1)


def test_a_latency_faster_than_the_hardware_is_refused():
    # 236 M MACs at 1.5 x 28.8 G MAC/s take 5.46 ms
    check_plausible(5.5, 236_000_000, 28.8)
    with pytest.raises(DeviceError, match="implausible"):
        check_plausible(5.4, 236_000_000, 28.8)
    check_plausible(0.001, None, 28.8)
    check_plausible(0.0025, 236_000_000, None)
    with pytest.raises(DeviceError, match="implausible"):  # no device at all does 236 M MACs in that time
        check_plausible(0.0023, 236_000_000, None)


@pytest.mark.parametrize("peak", [float("inf"), float("nan"), 0.0, -28.8, 1e30])
@pytest.mark.parametrize("ms", [1e-6, 0.0, -1.0, float("nan"), float("inf")])
def test_no_peak_lets_an_impossible_latency_pass(ms, peak):
    for given in (peak, None):
        with pytest.raises(DeviceError, match=r"implausible|cannot be judged"):
            check_plausible(ms, 5_530_000, given)


@pytest.mark.parametrize("peak", [float("inf"), float("nan"), 0.0, -28.8])
def test_a_peak_that_is_none_is_said_whatever_the_latency(peak):
    with pytest.raises(DeviceError, match="cannot be judged"):
        check_plausible(5.5, 236_000_000, peak)
