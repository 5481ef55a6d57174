"""docs/benchmarks/gate.md is what its command prints, and a short run of the same proof holds."""

import json

import gate
import pytest
from places import ROOT


@pytest.fixture
def recorded():
    return json.loads((ROOT / "benchmarks" / "gate.json").read_bytes())


def test_the_page_is_printed_from_the_record(recorded):
    assert gate.page(recorded) == (ROOT / "docs" / "benchmarks" / "gate.md").read_text()


def test_the_record_reaches_the_goals(recorded):
    for name, each in recorded["devices"].items():
        assert each["aa"]["total"] == 3 * 10_000
        assert each["aa"]["colours"].get("RED", 0) < 0.001 * each["aa"]["total"]
        if name in gate.GOALS:
            assert each["planted"]["colours"]["RED"] > gate.GOALS[name] * each["planted"]["total"]
            assert all(slowly["within"] > 0.95 for slowly in each["slow"])


def test_the_record_is_of_the_rules_and_models_at_hand(recorded):
    from dataclasses import asdict

    from ofa_edge.testing.noise import MODELS
    from ofa_edge.verify.regression import DEFAULT_RULES

    assert recorded["rules"] == asdict(DEFAULT_RULES)
    for model in MODELS:
        assert recorded["devices"][model.name]["model"] == json.loads(json.dumps(asdict(model)))


def test_a_short_run_of_the_proof():
    from ofa_edge.testing.noise import LOCKED_BOARD, STOCK_PHONE

    for model, goal in ((LOCKED_BOARD, 0.95), (STOCK_PHONE, 0.5)):
        alarms, planted = gate.false_alarms(model, 150, seed=4)
        assert alarms["colours"].get("RED", 0) == 0
        assert planted["colours"]["RED"] > goal * planted["total"]
    assert gate.slow(STOCK_PHONE, 5, seed=4, ramp=1)["within"] == 1.0


def test_a_gate_that_cried_wolf_would_be_seen(monkeypatch):
    from dataclasses import replace

    from ofa_edge.testing.noise import SHARED_MACHINE
    from ofa_edge.verify.regression import DEFAULT_RULES

    loose = replace(DEFAULT_RULES, least_effect=0.0, mads=0.0, suspicion=0.5, alpha=0.5, most_visible=9.0)
    judge = gate.judge_night
    monkeypatch.setattr(gate, "judge_night", lambda *given: judge(*given, loose))
    assert gate.false_alarms(SHARED_MACHINE, 40, seed=4)[0]["colours"].get("RED", 0) > 5


def test_the_manual_quotes_the_record(recorded):
    devices = recorded["devices"]
    board, phone = devices["locked board"], devices["stock phone"]
    reds = [each["aa"]["colours"].get("RED", 0) for each in devices.values()]
    planted = [100 * each["planted"]["colours"]["RED"] / each["planted"]["total"] for each in (board, phone)]
    nights = [slowly["median_nights"] for each in (board, phone) for slowly in each["slow"]]
    text = " ".join((ROOT / "docs" / "nightly.md").read_text().split())
    assert f"RED on {min(reds)} to {max(reds)} of 30,000 series-nights" in text
    assert f"on {planted[0]:.0f} % of nights of a locked board and on {planted[1]:.0f} % of a stock phone's" in text
    assert f"in {min(nights):.0f} to {max(nights):.0f} nights (median)" in text
