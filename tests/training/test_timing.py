"""Estimates: timed on copies, nothing kept, and in proportion to the work."""

import itertools

import numpy as np
import pytest
from tiny_package import images
from tiny_runs import differing, sandwich, shrinking, tensors_of, trainer

from ofa_edge.training import timing
from ofa_edge.training.timing import estimate


def estimated(recipe, measured=100, **options):
    return estimate(recipe, recipe.make_space(3), images(16, 0), images(16, 1), measured, **options)


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is a second later: a step takes one, whatever it computes."""
    ticks = itertools.count()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(ticks)))


def test_every_phase_is_timed_its_teacher_and_its_sorting_too(clock):
    found = estimated(shrinking())
    assert len(found.phases) == 6
    assert found.steps == 6 * timing.STEPS
    assert min(found.phases) > 0
    assert found.seconds == pytest.approx(sum(found.phases) + found.measuring)


def test_time_goes_by_steps_and_by_images_measured(clock):
    one, many = estimated(sandwich()), estimated(sandwich(scale=10.0), measured=300)
    # Two steps of a second each, but that steps draw sizes; ten times as many.
    assert one.phases[0] == pytest.approx(2.0, rel=0.5)
    assert many.phases[0] == pytest.approx(20.0, rel=0.5)
    assert many.measuring == pytest.approx(3 * one.measuring)


def test_a_slow_phase_is_timed_by_fewer_steps(clock, monkeypatch):
    monkeypatch.setattr(timing, "_PATIENCE_S", 0.5)
    assert estimated(sandwich()).steps == 2


def test_a_run_is_the_same_after_an_estimate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()
    plain = trainer(sandwich(), tmp_path / "plain")
    plain.run(stop_at=2)
    found = estimated(sandwich())
    assert found.seconds > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain"]
    after = trainer(sandwich(), tmp_path / "after")
    after.run(stop_at=2)
    assert differing(tensors_of(plain.net), tensors_of(after.net)) == []
    assert np.random.get_state()[1].tolist() == before
