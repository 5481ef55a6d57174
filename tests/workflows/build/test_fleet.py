"""Fleets: what is asked for, who shares a subnet, and builds that share their stages."""

from dataclasses import replace

import numpy as np
import pytest
from builds import Workshop

from ofa_edge.cache import StageCache
from ofa_edge.errors import BudgetError, ConfigError, UnknownNameError, UsageError
from ofa_edge.workflows.build import fleet as fleets
from ofa_edge.workflows.build.fleet import build_fleet, parse_fleet, plan_fleet, search_fleet


@pytest.fixture(autouse=True)
def few_evaluations(monkeypatch):
    monkeypatch.setattr(fleets, "EVALUATIONS", 1800)


def test_a_fleet_is_read() -> None:
    assert parse_fleet("pixel-4=20ms, raspberry-pi-4 = 40,targets/own.toml=1.5 ms") == (
        ("pixel-4", 20.0),
        ("raspberry-pi-4", 40.0),
        ("targets/own.toml", 1.5),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("pixel-4", "'pixel-4'"),
        ("pixel-4=20ms,=3ms", "'=3ms'"),
        ("pixel-4=20ms,,pixel-7=1", "''"),
        ("pixel-4=20s,pixel-7=1", "pixel-4"),
        ("pixel-4=-1ms,pixel-7=1", "pixel-4"),
        ("pixel-4=nan,pixel-7=1", "pixel-4"),
        ("pixel-4=inf,pixel-7=1", "pixel-4"),
        ("pixel-4=1ms,pixel-4=2ms", "pixel-4"),
        ("pixel-4=1ms", "2 to"),
        (",".join(f"t{index}=1ms" for index in range(9)), "2 to"),
    ],
)
def test_a_fleet_of_another_form_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_fleet(text)
    assert named in str(caught.value)


def plans_of(workshop: Workshop, tmp_path, text: str, **changes):
    return plan_fleet(workshop.options(tmp_path / "out", **changes), text)


def test_an_unknown_target_is_named(workshop, tmp_path) -> None:
    with pytest.raises(UnknownNameError, match="pixle-4"):
        plans_of(workshop, tmp_path, "raspberry-pi-4=3ms,pixle-4=3ms")


@pytest.mark.parametrize("name", ["...toml", "-rf.toml", "a b.toml"])
def test_a_target_file_cannot_lead_its_build_elsewhere(workshop, tmp_path, name) -> None:
    with pytest.raises(ConfigError, match="not a target name"):
        plans_of(workshop, tmp_path, f"{tmp_path / name}=2ms,pixel-4=2ms")


def test_an_impossible_budget_names_its_target(workshop, tmp_path) -> None:
    plans = plans_of(workshop, tmp_path, "raspberry-pi-4=30ms,pixel-4=0.001ms")
    with pytest.raises(BudgetError, match=r"^pixel-4: no subnet"):
        search_fleet(plans)


def test_one_network_is_no_fleet(workshop, tmp_path, monkeypatch) -> None:
    plans = plans_of(workshop, tmp_path, "raspberry-pi-4=30ms,pixel-4=30ms")
    one = replace(plans[0].package, subnet=plans[0].package.space.largest())
    single = replace(plans[0], search=replace(plans[0].search, package=one))
    monkeypatch.setattr(fleets, "make_plan", lambda *_, **__: single)
    with pytest.raises(UsageError, match="one network"):
        plans_of(workshop, tmp_path, "raspberry-pi-4=30ms,pixel-4=30ms")


def test_every_target_is_served_within_its_budget(workshop, tmp_path) -> None:
    plans = plans_of(workshop, tmp_path, "raspberry-pi-4=1.4ms,pixel-4=0.4ms,raspberry-pi-5=5ms")
    found = search_fleet(plans)
    totals = [float(cover.scores.sum()) for cover in found.options]
    assert totals == sorted(totals)
    for cover in found.options:
        assert sorted(index for members in cover.groups for index in members) == [0, 1, 2]
        for members, row in zip(cover.groups, cover.rows, strict=True):
            for index in members:
                assert found.latency[row, index] <= plans[index].search.budget_ms
                assert plans[index].search.latency.predict(found.subnet(row)).ms == pytest.approx(
                    found.latency[row, index]
                )
        assert (cover.costs >= -1e-12).all()
    assert found.chosen.costs.max() <= found.tolerance
    assert len(search_fleet(plans, max_models=1).chosen.rows) == 1


def test_kernels_that_only_one_target_bans_stay_with_the_others(workshop, tmp_path) -> None:
    plans = plans_of(workshop, tmp_path, "raspberry-pi-4=30ms,pixel-4=30ms")
    space = plans[0].package.space
    part = space.restricted(kernels=space.kernels[:1])
    found = search_fleet((plans[0], replace(plans[1], search=replace(plans[1].search, part=part))))
    for members, row in zip(found.chosen.groups, found.chosen.rows, strict=True):
        kernels = {kernel for stage in found.subnet(row).stages for kernel, _ in stage}
        assert 1 not in members or kernels == {space.kernels[0]}
    assert np.isfinite(found.scores).all()


def test_builds_of_one_subnet_share_their_stages(workshop, tmp_path) -> None:
    plans = plans_of(workshop, tmp_path, "raspberry-pi-4=20ms,pixel-4=20ms")
    found = search_fleet(plans, max_models=1)
    stages: list[tuple[str, bool]] = []

    def listen(name: str, cached: bool, seconds: float | None) -> None:
        if seconds is not None:
            stages.append((name, cached))

    first, second = build_fleet(found, StageCache(tmp_path / "cache"), ["ofa-edge", "build"], listen)
    assert first.subnet == second.subnet
    # Both are TFLite fp32. Only the metadata, which name the target, are written twice, and the file is run again.
    assert {stage.name for stage in second.stages if not stage.cached} <= {"tflite", "run-tflite", "inspect"}
    assert len(list((tmp_path / "cache" / "tflite-bare").iterdir())) == 1
    assert [cached for name, cached in stages if name == "search"] == [False, True]
    for manifest, plan in zip((first, second), plans, strict=True):
        assert manifest.search is not None
        assert manifest.search.fleet is not None
        assert manifest.search.fleet.serves == ("raspberry-pi-4", "pixel-4")
        assert manifest.search.budget_ms == plan.search.budget_ms
        assert manifest.prediction.ms <= plan.search.budget_ms
        assert (plan.out / "report.html").is_file()
        chosen = next(item for item in manifest.search.candidates if item.subnet == manifest.subnet.id)
        assert chosen.latency_ms == pytest.approx(manifest.prediction.ms)  # this target's, not the first one's
