"""Searches of a supernet whose predictor does not rank: MACs stand in, more is measured, and it is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_package import copied_package, shared_package

from ofa_edge.cache import StageCache
from ofa_edge.cli import main
from ofa_edge.cli.build import headline
from ofa_edge.cli.build_plan import describe
from ofa_edge.errors import WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.search.predictor import AccuracyPredictor, FittedTo
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.fleet import plan_fleet, search_fleet
from ofa_edge.workflows.build.plan import MEASURED_BY_MACS, MEASURED_CANDIDATES, make_plan
from ofa_edge.workflows.build.search import run_search, search_inputs
from ofa_edge.workflows.build.stages import StageRunner


def with_predictor(folder, top1_of):
    """A package whose predictor was fitted to made-up accuracies."""
    package = open_supernet(str(folder))
    genomes = package.space.sample(np.random.default_rng(0), 40)
    predictor = AccuracyPredictor.fit(package.space, genomes, top1_of(package.space, genomes))
    digest = sha256_file(folder / zoo.WEIGHTS)
    predictor.of(FittedTo(digest, "")).save(folder / zoo.PREDICTOR)
    return folder


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    folder = copied_package(shared_package(tmp_path_factory), tmp_path_factory.mktemp("poor") / "package")
    return with_predictor(folder, lambda space, genomes: np.random.default_rng(3).uniform(0.5, 0.9, len(genomes)))


def options(folder, tmp_path, **changes):
    return BuildOptions("raspberry-pi-4", supernet=str(folder), device="none", out=tmp_path / "out", **changes)


def test_by_macs_more_is_measured_and_the_record_says_why(poor, tmp_path):
    plan = make_plan(options(poor, tmp_path))
    assert plan.search.measure == MEASURED_BY_MACS > MEASURED_CANDIDATES
    plan = replace(plan, search=replace(plan.search, measure=10))
    subnet, record = run_search(StageRunner(StageCache(tmp_path / "cache")), plan.search)
    assert (record.objective, record.ranked_by) == ("top1", "macs")
    assert "no order" in record.ranked_why or "no better" in record.ranked_why
    assert record.ranked_why == plan.search.ranked.why
    assert (record.correction.measurements, record.measured_images) == (10, 60)
    assert record.predictor_rmse == plan.search.predictor.rmse
    best = max(record.candidates, key=lambda item: item.expected_top1)
    assert best.subnet == subnet.id  # the choice is by measurement
    assert record.model_validate_json(record.model_dump_json()) == record


def test_it_is_said_before_and_after(poor, tmp_path, first):
    plan = make_plan(options(poor, tmp_path))
    words = describe(plan)
    assert f"the search goes by MACs: {plan.search.ranked.why}" in words
    assert f"up to {MEASURED_BY_MACS} candidates" in words
    manifest = first[1]
    assert "went by MACs" not in headline(manifest.model_copy(update={"search": _by(manifest, "predictor")}))
    assert "went by MACs, and" in headline(manifest.model_copy(update={"search": _by(manifest, "macs")}))


def _by(manifest, what):
    return manifest.search.model_copy(update={"ranked_by": what, "ranked_why": "because"})


def test_what_the_user_says_counts_and_is_part_of_the_stage(poor, tmp_path):
    auto, use, told = (
        make_plan(options(poor, tmp_path, **changes)).search for changes in ({}, {"predictor": "use"}, {"measure": 3})
    )
    assert (use.ranked.by, use.measure) == ("predictor", MEASURED_CANDIDATES)
    assert (told.ranked.by, told.measure) == ("macs", 3)
    keys = {json.dumps(search_inputs((plan,)), default=str, sort_keys=True) for plan in (auto, use, told)}
    assert len(keys) == 3


def test_a_fleet_goes_by_the_same(poor, tmp_path):
    plans = plan_fleet(
        replace(options(poor, tmp_path), target=""), "raspberry-pi-4=1ms,raspberry-pi-5=1ms", claim=False, images=False
    )
    fleet = search_fleet(plans, evaluations=300)
    assert fleet.tolerance == plans[0].search.predictor.rmse
    assert np.array_equal(fleet.scores, plans[0].search.predictor.predict(fleet.genomes))
    assert {plan.search.ranked.by for plan in plans} == {"macs"}


def test_the_command_says_it_too(poor, capsys):
    def run(*more):
        with pytest.raises(SystemExit) as caught:
            main(["search", "--target", "raspberry-pi-4", "--supernet", str(poor), "--evaluations", "400", *more])
        assert not caught.value.code
        return capsys.readouterr().out

    out = run()
    assert "the search goes by MACs: the predictor's Kendall's tau on 40 held-out subnets" in out
    assert f"build, which measures up to {MEASURED_BY_MACS} candidates" in out
    assert "top-1 by MACs" in out
    facts = json.loads(run("--predictor", "use", "--json"))
    assert facts["ranked_by"] == "predictor"
    assert facts["ranked_why"].startswith("--predictor use; ")


def test_a_predictor_of_other_weights_is_refused(poor, tmp_path):
    folder = copied_package(poor, tmp_path / "package")
    predictor = AccuracyPredictor.load(folder / zoo.PREDICTOR, open_supernet(str(folder)).space)
    predictor.of(FittedTo("0" * 64, "")).save(folder / zoo.PREDICTOR)
    with pytest.raises(WeightsError, match="of other weights") as caught:
        make_plan(options(folder, tmp_path))
    assert "000000000000" in caught.value.why
    assert sha256_file(folder / zoo.WEIGHTS)[:12] in caught.value.why
