"""A predictor from before a supernet was moved: kept where new pairs cannot tell, dropped where they disagree."""

from dataclasses import replace

import numpy as np
import pytest
from landscapes import FASHION, accuracy

from ofa_edge.metrics import kendall
from ofa_edge.search.features import Features
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.ranked_by import ranked_by
from ofa_edge.search.ranking import rank

GENOMES = FASHION.sample(np.random.default_rng(5), 300)
MEASURED, OTHERS = GENOMES[:60], GENOMES[60:]
FEATURES = Features(FASHION)


def other_effects(seed):
    """Accuracies 0.5 .. 0.7 that have nothing to do with the landscape's: each value of a gene has its own effect."""
    values = FEATURES(GENOMES)[:, : FEATURES.detailed]
    effects = values @ np.random.default_rng(seed).normal(size=values.shape[1])
    return 0.5 + 0.2 * (effects - effects.min()) / np.ptp(effects)


def counted(truth, images, seed):
    """Measured on that many images, which are hard or easy for all subnets alike, mostly."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=images)
    own = 0.7 * ease + 0.3 * rng.normal(size=(len(truth), images))
    levels = np.quantile(own, 1 - truth, axis=None)
    return (own > levels[:, None]).mean(axis=1)


@pytest.fixture(scope="module")
def prior():
    """Of a supernet whose pairs were measured exactly."""
    found = AccuracyPredictor.fit(FASHION, GENOMES, accuracy(FASHION)(GENOMES), images=4000)
    assert found.held_out.ranking.earned
    return found


@pytest.fixture(scope="module")
def truth():
    """Of a moved supernet: the landscape, compressed, and effects of its own."""
    landscape = accuracy(FASHION)(GENOMES)
    return 0.6 + 0.5 * (landscape - landscape.mean()) + 0.1 * (other_effects(1) - 0.6)


def test_pairs_of_a_few_images_leave_the_old_ranking_as_it_is(prior, truth):
    for seed in range(3):
        measured = counted(truth[:60], 8, seed)
        alone = AccuracyPredictor.fit(FASHION, MEASURED, measured, images=8)
        found = AccuracyPredictor.fit(FASHION, MEASURED, measured, prior=prior, images=8)
        ranks = [kendall(each.predict(OTHERS), truth[60:]) for each in (prior, found, alone)]
        assert ranks[1] > ranks[0] - 0.02
        assert ranks[1] > ranks[2]


def test_exact_pairs_correct_it(prior, truth):
    found = AccuracyPredictor.fit(FASHION, MEASURED, truth[:60], prior=prior)
    of_old, of_new = (kendall(each.predict(OTHERS), truth[60:]) for each in (prior, found))
    assert of_new > of_old


def test_pairs_that_disagree_turn_it_out(prior):
    wanted = other_effects(2)
    found = AccuracyPredictor.fit(FASHION, GENOMES[:200], wanted[:200], prior=prior)
    alone = AccuracyPredictor.fit(FASHION, GENOMES[:200], wanted[:200])
    by_found, by_alone = (kendall(each.predict(GENOMES[200:]), wanted[200:]) for each in (found, alone))
    assert by_found > by_alone - 0.02
    assert by_found > kendall(prior.predict(GENOMES[200:]), wanted[200:]) + 0.2


def test_a_search_goes_by_the_old_ranking_where_pairs_cannot_tell(prior, truth):
    found = AccuracyPredictor.fit(FASHION, MEASURED, counted(truth[:60], 8, 0), prior=prior, images=8)
    unsure = replace(found.held_out.ranking, kendall_low95=-0.1, kendall_high95=0.2, gain=-0.1)
    held_out = replace(found.held_out, ranking=unsure)
    assert held_out.prior_kendall == prior.held_out.kendall
    by = ranked_by(replace(found, held_out=held_out))
    assert by.by == "predictor"
    assert "8 images each" in str(by)
    assert f"moved from stands in: {prior.held_out.kendall:.2f}" in str(by)
    for told in (
        replace(held_out, prior_kendall=None),  # none, or one that had not earned its use
        replace(held_out, ranking=replace(unsure, kendall_low95=-0.4, kendall_high95=-0.1)),  # pairs say the contrary
        replace(held_out, ranking=replace(unsure, kendall_low95=0.05)),  # they can tell: MACs rank better
    ):
        assert ranked_by(replace(found, held_out=told)).by == "macs"
    assert ranked_by(replace(found, held_out=held_out), "macs").by == "macs"


def test_a_prior_that_had_not_earned_its_use_does_not_stand_in(prior, truth):
    macs = FEATURES.macs(GENOMES).astype(float)
    poor = replace(prior, held_out=replace(prior.held_out, ranking=rank(macs, macs, accuracy(FASHION)(GENOMES))))
    found = AccuracyPredictor.fit(FASHION, MEASURED, counted(truth[:60], 8, 0), prior=poor, images=8)
    assert not poor.held_out.ranking.earned
    assert found.held_out.prior_kendall is None


def test_what_stands_behind_it_is_in_its_file(prior, truth, tmp_path):
    found = AccuracyPredictor.fit(FASHION, MEASURED, counted(truth[:60], 8, 0), prior=prior, images=8)
    found.save(tmp_path / "p")
    again = AccuracyPredictor.load(tmp_path / "p", FASHION).held_out
    assert (again.images, again.prior_kendall) == (8, prior.held_out.kendall)
