"""Baselines beside calibrated latency models: fitted fairly, and the page is what its command prints."""

import json
import sys

import calibrate_baselines as baselines
import numpy as np
import pytest
from places import ROOT

from ofa_edge import cost
from ofa_edge.errors import ConfigError, SpaceMismatchError, ToolMissingError
from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering
from ofa_edge.latency.units import UnitTable
from ofa_edge.space import Space

SPACE = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
PRIOR = Coefficients(np.full(len(TERMS), 0.01), np.eye(len(TERMS)) * 0.1, 0.1, 0.6745, 1.6449, Lowering(4, 4))


def measured(latency, units=None):
    """A calibration whose latencies are a function of genomes."""
    drawn = SPACE.sample(np.random.default_rng(3), 60)
    ms = latency(drawn)
    predicted = {"ms": ms[40:], **{name: ms[40:] * by for name, by in BOUNDS.items()}}
    return baselines.Measured(SPACE, drawn[:40], ms[:40], drawn[40:], ms[40:], units or {}, PRIOR, predicted)


BOUNDS = {"low50": 0.9, "high50": 1.1, "low90": 0.8, "high90": 1.2}


def macs(genomes):
    return cost.macs_table(SPACE)(genomes)[:, 0] / 1e6


def test_the_page_is_printed_from_the_records():
    page = (ROOT / "docs" / "benchmarks" / "calibrate.md").read_text()
    assert baselines.page(ROOT / "benchmarks" / "calibrate_results") == page


def test_a_line_over_macs_finds_what_is_one():
    subject = measured(lambda genomes: 0.5 + 2 * macs(genomes))
    guess = baselines.line(macs, subject.fitted, subject.fitted_ms)(subject.held)
    assert guess == pytest.approx(subject.held_ms, rel=1e-6)


def test_the_plain_sum_adds_the_blocks_and_no_second_call():
    table = UnitTable(SPACE)
    units = {unit.name: 1.0 + index for index, unit in enumerate(table.units[:-1])}
    subject = measured(macs, units)
    expected = table.counts(subject.held)[:, :-1] @ np.array(list(units.values()))
    assert baselines.plain_sum(subject)(subject.held) == pytest.approx(expected)


def test_blocks_that_were_left_out_are_scaled_like_those_measured():
    table = UnitTable(SPACE)
    likely = {unit.name: float(PRIOR.predict(unit.operators).ms) for unit in table.units[:-1]}
    whole = baselines.plain_sum(measured(macs, {name: 3 * ms for name, ms in likely.items()}))
    half = baselines.plain_sum(measured(macs, {name: 3 * likely[name] for name in list(likely)[::2]}))
    genomes = SPACE.sample(np.random.default_rng(8), 5)
    assert half(genomes) == pytest.approx(whole(genomes))


def test_rows_hold_every_method_and_the_right_figures(monkeypatch):
    monkeypatch.setattr(baselines, "boosted", lambda space, genomes, ms: lambda others: np.full(len(others), ms.mean()))
    subject = measured(lambda genomes: 0.5 + 2 * macs(genomes))
    found = {row.method: row for row in baselines.rows(subject)}
    assert list(found) == [
        "calibrated",
        "gradient boosting",
        "plain sum of blocks",
        "MACs alone",
        "parameters alone",
        "target's own model",
    ]
    assert found["calibrated"].mape == 0.0
    assert found["calibrated"].coverage90 == 1.0
    assert found["MACs alone"].within5 == 1.0
    assert found["MACs alone"].spearman == pytest.approx(1.0)
    assert found["gradient boosting"].spearman == 0.0
    assert found["parameters alone"].mape > 0.05


def test_skipped_blocks_are_zeros_in_the_configuration():
    genomes = SPACE.sample(np.random.default_rng(1), 50)
    blocks = len(SPACE.blocks)
    found = baselines.features(SPACE, genomes)
    active = SPACE.active(genomes)
    assert found.shape == (50, 2 * blocks + 1)
    assert ((found[:, :blocks] > 0) == active).all()
    assert ((found[:, blocks : 2 * blocks] > 0) == active).all()


def test_boosting_needs_scikit_learn_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ToolMissingError) as caught:
        baselines.boosted(SPACE, SPACE.sample(np.random.default_rng(1), 5), np.ones(5))
    assert "[bench]" in caught.value.hint


def test_reports_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "x.calibration.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="no calibration report"):
        baselines.read(path, "fashion-mnist")
    path.write_text(json.dumps({"plan": {"space": "0" * 64}, "held_out": [], "fitted": []}))
    with pytest.raises(SpaceMismatchError):
        baselines.read(path, "fashion-mnist")
