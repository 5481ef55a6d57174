import numpy as np
import pytest

from ofa_edge.testing.noise import LOCKED_BOARD, MODELS, STOCK_PHONE, NoiseModel, session_factors, simulate


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_same_seed_gives_the_same_nights(model):
    first, second = simulate(model, 20, 16, seed=5), simulate(model, 20, 16, seed=5)
    assert np.array_equal(first.factors, second.factors, equal_nan=True)
    assert not np.array_equal(first.factors, simulate(model, 20, 16, seed=6).factors, equal_nan=True)
    assert first.factors.shape == (20, 2, 16)


def test_the_scatter_from_session_to_session_is_the_models():
    plain = NoiseModel("plain", session=0.02, night=0.0, drift=0.0, lost=0.0, epoch_nights=1e9)
    assert np.log(simulate(plain, 2000, 16, 0).factors).std() == pytest.approx(0.02, rel=0.03)


def test_a_nights_runs_share_its_level():
    level = NoiseModel("level", session=0.0, night=0.05, drift=0.0, lost=0.0, epoch_nights=1e9)
    factors = simulate(level, 200, 4, 0).factors
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-12
    assert np.log(factors[:, 0, 0]).std() == pytest.approx(0.05, rel=0.15)


def test_a_lasting_change_may_show_in_the_fingerprint():
    shown = NoiseModel("epochs", session=0.0, night=0.0, drift=0.0, lost=0.0, epoch_nights=50.0, epoch_seen=1.0)
    nights = simulate(shown, 2000, 2, 0)
    moved = np.flatnonzero(np.abs(np.diff(np.log(nights.factors[:, 0, 0]))) > 1e-12)
    assert np.array_equal(moved, np.flatnonzero(np.diff(nights.epochs)))
    assert 25 <= len(moved) <= 60


def test_foreign_load_comes_in_spells():
    bursts = NoiseModel(
        "bursts", session=0.0, night=0.0, drift=0.0, lost=0.0, burst=0.3, burst_sessions=6.0, burst_size=(0.2, 0.2),
        epoch_nights=1e9,
    )  # fmt: skip
    inside = simulate(bursts, 500, 40, 0).factors[:, 0] > 1.1
    assert inside.mean() == pytest.approx(0.3, abs=0.03)
    ends = inside[:, :-1] & ~inside[:, 1:]
    assert ends.sum() / inside[:, :-1].sum() == pytest.approx(1 / 6, abs=0.03)


def test_heat_stays_to_the_end_of_the_run_and_is_mostly_noticed():
    hot = NoiseModel(
        "hot", session=0.0, night=0.0, drift=0.0, lost=0.0, throttled=1.0, throttle_size=(0.2, 0.2), epoch_nights=1e9
    )
    factors = simulate(hot, 500, 16, 0).factors
    last = factors[:, :, -1]
    assert np.isnan(last).mean() == pytest.approx(0.8, abs=0.05)
    assert np.nanmin(last) == pytest.approx(np.exp(0.2))


def test_the_phone_totals_what_is_published_of_phones():
    # ExecuTorch's farm: 2.3 to 23 % from night to night, 7.6 % on average.
    nights = simulate(STOCK_PHONE, 3000, 16, 1).factors[:, 0, 0]
    months = [np.nanstd(np.log(nights[at : at + 30])) for at in range(0, 3000, 30)]
    assert 0.06 < np.mean(months) < 0.12


def test_one_night_for_a_simulated_connection():
    assert session_factors(LOCKED_BOARD, 16, seed=2).shape == (16,)
