import numpy as np
import pytest
from fit_many_devices import Observation, Prior, Setting, fit

from ofa_edge.latency.analytic import TERMS

SIZE = len(TERMS)
TRUE = np.linspace(1.0, 3.0, SIZE)  # multiples of the base cost
PRIOR = Prior(np.full(SIZE, np.log(2.0)), np.full(SIZE, 0.5))


def setting(name: str, device: str = "board", stack: str = "tflite", backend: str = "own") -> Setting:
    return Setting(name, device, stack, backend, "fp32", np.full(SIZE, 0.1))


def observe(name: str, slowness: float, count: int = 40, seed: int = 0) -> list[Observation]:
    """Networks of one family each, leaning on random terms, on a device `slowness` times slower than its peaks."""
    amounts = np.random.default_rng(seed).lognormal(0, 2, (count, SIZE))
    return [
        Observation(name, str(i), f"net{i}", row, float(slowness * 0.1 * row @ TRUE)) for i, row in enumerate(amounts)
    ]


def test_many_measurements_are_followed() -> None:
    result = fit([setting("a")], observe("a", 1.0, 80), PRIOR)
    assert np.exp(result.estimate(setting("a")).log_ms) == pytest.approx(0.1 * TRUE, rel=0.15)


def test_a_single_wrong_measurement_does_not_bend_the_fit() -> None:
    rows = observe("a", 1.0)
    wrong = Observation("a", "wrong", "wrong", rows[0].amounts, rows[0].ms * 30)
    probe = rows[0].amounts
    clean = fit([setting("a")], rows, PRIOR).estimate(setting("a")).predict(probe)[0]
    bent = fit([setting("a")], [*rows, wrong], PRIOR).estimate(setting("a")).predict(probe)[0]
    assert bent == pytest.approx(clean, abs=0.05)


def test_a_device_without_measurements_is_carried_over_with_less_certainty() -> None:
    places = [setting("a"), setting("b", device="another")]
    result = fit(places, observe("a", 1.0), PRIOR)
    probe = observe("a", 1.0, seed=9)[0]
    own, carried = (result.estimate(place).predict(probe.amounts) for place in places)
    assert carried[0] == pytest.approx(np.log(probe.ms), abs=0.5)
    assert carried[1] > 2 * own[1]


def test_another_runtime_tells_how_slow_a_device_is_and_nothing_else() -> None:
    """Board b is three times slower than its peaks in ncnn; TFLite on b must be seen as slower than on a."""
    places = [
        setting("a/tflite"),
        setting("a/ncnn", stack="ncnn", backend="ncnn"),
        setting("b/ncnn", device="b", stack="ncnn", backend="ncnn"),
        setting("b/tflite", device="b"),
    ]
    rows = [*observe("a/tflite", 1.0), *observe("a/ncnn", 1.0), *observe("b/ncnn", 3.0)]
    result = fit(places, rows, PRIOR)
    probe = rows[0].amounts
    ratio = result.estimate(places[3]).predict(probe)[0] - result.estimate(places[0]).predict(probe)[0]
    assert 0.25 < ratio < np.log(3)


def test_learning_widens_a_level_that_varies_more_than_assumed() -> None:
    slowness = dict(zip("abcdef", (0.2, 0.5, 1.0, 2.0, 4.0, 8.0), strict=True))
    places = [setting(name, device=name) for name in slowness]
    rows = [row for index, (name, slow) in enumerate(slowness.items()) for row in observe(name, slow, 12, index)]
    learned = fit(places, rows, PRIOR, learn=4).prior.levels["device"]
    assert learned > 1.3 * PRIOR.levels["device"]


def test_more_sizes_of_one_family_count_no_more_than_a_few() -> None:
    rows = observe("a", 1.0, 1)
    few = fit([setting("a")], rows * 6, PRIOR).estimate(setting("a")).predict(rows[0].amounts)[1]
    many = fit([setting("a")], rows * 60, PRIOR).estimate(setting("a")).predict(rows[0].amounts)[1]
    assert many == pytest.approx(few, rel=0.05)


def test_a_family_tells_how_latency_grows_and_little_of_its_level() -> None:
    """Forty sizes of one family, all half as slow again as the model can explain, beside networks that it explains."""
    rows = observe("a", 1.0)
    sizes = [Observation("a", "odd", row.network, row.amounts, row.ms * 1.5) for row in observe("a", 1.0, 40, seed=1)]
    strangers = [Observation("a", f"odd{i}", row.network, row.amounts, row.ms) for i, row in enumerate(sizes)]
    probe = observe("a", 1.0, 1, seed=5)[0]
    level, dragged = (
        fit([setting("a")], [*rows, *more], PRIOR).estimate(setting("a")).predict(probe.amounts)[0]
        for more in (sizes, strangers)
    )
    assert abs(level - np.log(probe.ms)) < 0.08
    assert dragged - np.log(probe.ms) > 2 * abs(level - np.log(probe.ms))


def test_a_fit_can_start_from_one_of_other_families() -> None:
    rows = observe("a", 1.0)
    cold = fit([setting("a")], rows[:30], PRIOR)
    warm = fit([setting("a")], rows[:30], PRIOR, start=fit([setting("a")], rows, PRIOR))
    assert warm.estimate(setting("a")).log_ms == pytest.approx(cold.estimate(setting("a")).log_ms, abs=0.01)
