"""Sustained speed: a target's factor from its file to the latency that is searched and gated."""

import json
from pathlib import Path

import pytest

from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.targets import builtin_folder, read_target
from ofa_edge.workflows.build.plan import make_plan

TABLE = '\n[sustained]\nfactor = 1.5\nsource = "an hour of load in a closed case, measured by us"\n'


@pytest.fixture
def warm(tmp_path) -> Path:
    """A Raspberry Pi 4 that is known to slow down."""
    folder = builtin_folder()
    (tmp_path / "warm-pi.toml").write_text((folder / "raspberry-pi-4.toml").read_text() + TABLE)
    latency = json.loads((folder / "raspberry-pi-4.latency.json").read_text())
    (tmp_path / "raspberry-pi-4.latency.json").write_text(json.dumps(latency))
    return tmp_path / "warm-pi.toml"


def test_latency_and_its_interval_take_longer(workshop, warm, tmp_path) -> None:
    options = {"target": str(warm), "latency_ms": 3.0}
    cold = make_plan(workshop.options(tmp_path / "cold", **options))
    plan = make_plan(workshop.options(tmp_path / "warm", **options, sustained=True))
    largest = plan.package.space.largest()
    before, after = cold.search.latency.predict(largest), plan.search.latency.predict(largest)
    for name in ("ms", "low50", "high50", "low90", "high90"):
        assert getattr(after, name) == pytest.approx(1.5 * getattr(before, name))
    many = plan.search.latency.predict_many(plan.package.space.genome([largest]))
    assert many.ms == pytest.approx([after.ms])
    assert sum(part.ms for part in plan.search.latency.parts(largest)) == pytest.approx(after.ms)
    assert (cold.cold_budget_ms, plan.cold_budget_ms) == (3.0, 2.0)
    assert plan.search.sustained is not None
    assert plan.search.sustained.source.startswith("an hour")


def test_a_target_without_the_factor_is_refused_with_the_reason(workshop, tmp_path) -> None:
    with pytest.raises(UnsupportedError, match="raspberry-pi-4") as caught:
        make_plan(workshop.options(tmp_path / "out", latency_ms=3.0, sustained=True))
    assert "[sustained]" in caught.value.why


def test_a_share_of_the_largest_is_no_sustained_budget(workshop, warm, tmp_path) -> None:
    with pytest.raises(ConfigError, match="--latency-ms"):
        make_plan(workshop.options(tmp_path / "out", target=str(warm), sustained=True))


@pytest.mark.parametrize("line", ["factor = 0.9", "factor = 1.5"])
def test_a_factor_needs_its_source_and_slows_down(line: str, warm) -> None:
    text = warm.read_text().split("[sustained]")[0] + f"[sustained]\n{line}\n"
    warm.write_text(text)
    with pytest.raises(ConfigError, match="schema"):
        read_target(warm)


def test_measuring_needs_a_predictor(workshop, tmp_path) -> None:
    options = {"supernet": "ofa_mbv3_d234_e346_k357_w1.0", "untrained": True, "measure": 4}
    with pytest.raises(ConfigError, match="--measure"):
        make_plan(workshop.options(tmp_path / "out", **options))
