"""Whether a predictor ranks, and better than MACs do; and what a search goes by where it does not."""

import dataclasses

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, every_genome, latency
from scipy.stats import kendalltau

from ofa_edge.errors import ConfigError
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.features import Features
from ofa_edge.search.load_predictor import separable_form
from ofa_edge.search.macs_predictor import LEAST_SLOPE, MacsLine, MacsPredictor
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.ranked_by import ranked_by
from ofa_edge.search.ranking import rank, taus

RNG = np.random.default_rng(0)


def pairs(count: int, noise: float):
    """Measured pairs whose noise, in the unit of top-1, may drown what there is to rank."""
    genomes = FASHION.sample(np.random.default_rng(5), count)
    return genomes, np.clip(accuracy(FASHION)(genomes) + np.random.default_rng(6).normal(0, noise, count), 0, 1)


def macs(genomes):
    return Features(FASHION).macs(genomes).astype(np.float64)


# -- the figures --


def test_taus_of_resamples_are_those_of_scipy():
    one, other = RNG.normal(size=40), RNG.integers(0, 6, 40).astype(float)  # ties too
    drawn = RNG.multinomial(40, np.full(40, 1 / 40), 30).astype(np.float32)
    for counts, tau in zip(drawn, taus(drawn, one, other), strict=True):
        index = np.repeat(np.arange(40), counts.astype(int))
        assert tau == pytest.approx(kendalltau(one[index], other[index]).statistic, abs=1e-5)


def test_no_order_is_a_tau_of_nothing():
    drawn = np.ones((3, 10), np.float32)
    assert (taus(drawn, np.zeros(10), np.arange(10.0)) == 0).all()


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    population = RNG.normal(size=(2, 3000))
    population[1] += population[0]
    truth = kendalltau(*population).statistic
    held = 0
    for trial in range(60):
        one, other = population[:, np.random.default_rng(trial).choice(3000, 60, replace=False)]
        found = rank(one, np.zeros(60), other)
        held += found.kendall_low95 <= truth <= found.kendall_high95
    assert held >= 50  # of 60; fewer than that is less than one in a thousand for a true 95 %


def test_the_difference_is_paired():
    """Two rankings that err alike differ by little, whatever the spread of each alone."""
    truth = RNG.normal(size=100)
    macs_of = truth + RNG.normal(0, 1.0, 100)
    found = rank(macs_of + RNG.normal(0, 1e-3, 100), macs_of, truth)
    assert found.gain_high95 - found.gain_low95 < 0.1 * (found.kendall_high95 - found.kendall_low95)


def test_few_pairs_have_wide_intervals():
    truth = RNG.normal(size=400)
    predicted = truth + RNG.normal(0, 1.0, 400)
    many, few = (rank(predicted[:n], RNG.normal(size=400)[:n], truth[:n]) for n in (400, 25))
    assert few.kendall_high95 - few.kendall_low95 > 2 * (many.kendall_high95 - many.kendall_low95)
    assert few.rmse_high95 - few.rmse_low95 > 2 * (many.rmse_high95 - many.rmse_low95)


# -- the rule --


def test_a_predictor_that_ranks_is_used():
    predictor = AccuracyPredictor.fit(FASHION, *pairs(200, 0.002))
    assert predictor.held_out.ranking.earned
    found = ranked_by(predictor)
    assert (found.by, found.predictor, found.measures_more) == ("predictor", predictor, False)
    assert f"{predictor.held_out.kendall:.2f}" in str(found)


def test_one_without_an_order_is_refused_and_the_figures_are_said():
    predictor = AccuracyPredictor.fit(FASHION, *pairs(24, 0.2))
    predictor = dataclasses.replace(  # the case that was reported, to the figure
        predictor,
        held_out=dataclasses.replace(
            predictor.held_out,
            kendall=-0.195,
            ranking=dataclasses.replace(predictor.held_out.ranking, kendall_low95=-0.45, kendall_high95=0.09),
        ),
    )
    found = ranked_by(predictor)
    assert found.by == "macs"
    assert found.predictor == predictor.macs
    assert found.measures_more
    assert "goes by MACs: " in str(found)
    assert "-0.20 (-0.45 .. 0.09 at 95 %)" in found.why or "-0.19 (-0.45 .. 0.09 at 95 %)" in found.why
    assert "no order at all" in found.why


def test_noise_alone_earns_nothing():
    """Pairs that hold no order: at most one fit in twenty may pass by luck, and none of these does."""
    for seed in range(5):
        genomes = FASHION.sample(np.random.default_rng(seed), 60)
        top1 = np.random.default_rng(100 + seed).uniform(0.4, 0.6, 60)
        assert not AccuracyPredictor.fit(FASHION, genomes, top1).held_out.ranking.earned


def test_one_that_ranks_no_better_than_macs_is_refused():
    genomes = FASHION.sample(np.random.default_rng(5), 40)
    noise = np.random.default_rng(2).normal(0, 0.003, 40)
    top1 = 0.5 + 0.02 * np.log(macs(genomes) / 1e6) + noise  # MACs say all that is to be said
    predictor = AccuracyPredictor.fit(FASHION, genomes, top1)
    ranking = predictor.held_out.ranking
    assert ranking.kendall_low95 > 0
    assert ranking.gain < 0
    found = ranked_by(predictor)
    assert found.by == "macs"
    assert "it ranks no better than they do" in found.why


def test_what_may_be_chance_is_used_and_said():
    predictor = AccuracyPredictor.fit(FASHION, *pairs(200, 0.002))
    unsure = dataclasses.replace(predictor.held_out.ranking, gain_low95=-0.01)
    held_out = dataclasses.replace(predictor.held_out, ranking=unsure)
    found = ranked_by(dataclasses.replace(predictor, held_out=held_out))
    assert found.by == "predictor"
    assert found.why.endswith("which may be chance")


def test_the_user_has_the_last_word():
    good, bad = (AccuracyPredictor.fit(FASHION, *pairs(*case)) for case in ((200, 0.002), (24, 0.2)))
    assert not bad.held_out.ranking.earned
    assert ranked_by(bad, "use").predictor is bad
    assert "no order" in ranked_by(bad, "use").why
    assert ranked_by(good, "macs").predictor == good.macs
    assert ranked_by(good, "macs").why.startswith("--predictor macs; ")
    with pytest.raises(ConfigError, match="has none"):
        ranked_by(None, "use")
    assert ranked_by(None).predictor is None


def test_a_file_from_before_is_used_where_it_says_that_it_ranks():
    old = AccuracyPredictor.fit(FASHION, *pairs(60, 0.002))
    held_out = dataclasses.replace(old.held_out, ranking=None, macs=None)
    old = dataclasses.replace(old, held_out=held_out)
    assert ranked_by(old).by == "predictor"
    assert "not known" in ranked_by(old).why
    worse = dataclasses.replace(old, held_out=dataclasses.replace(held_out, kendall=-0.195))
    assert ranked_by(worse, "use").predictor is worse
    for predictor, choice in ((worse, "auto"), (old, "macs")):
        with pytest.raises(ConfigError, match="cannot be used") as caught:
            ranked_by(predictor, choice)
        assert "--predictor use" in caught.value.hint


# -- MACs in its place --


def test_the_line_is_that_of_the_pairs_and_its_error_that_of_others():
    genomes, _ = pairs(400, 0)
    top1 = 0.6 + 0.01 * np.log(macs(genomes)) + np.random.default_rng(1).normal(0, 0.004, 400)
    fold = np.arange(200) % 8
    line = MacsLine.fit(macs(genomes[:200]), top1[:200], fold)
    assert line.slope == pytest.approx(0.01, rel=0.25)
    others = MacsPredictor(FASHION, line).predict(genomes[200:])
    assert line.rmse == pytest.approx(np.sqrt(np.mean((others - top1[200:]) ** 2)), rel=0.15)


@pytest.mark.parametrize("slope", [-0.02, 0.0])
def test_more_macs_are_never_taken_for_worse(slope):
    genomes, _ = pairs(50, 0)
    line = MacsLine.fit(macs(genomes), 0.5 + slope * np.log(macs(genomes) / 1e6), np.arange(50) % 8)
    assert line.slope == LEAST_SLOPE
    assert np.isfinite([line.intercept, line.rmse]).all()


def test_its_search_finds_what_the_search_for_macs_finds_and_its_bound_holds():
    genomes = every_genome(TINY)
    table = Features(TINY)
    line = MacsLine(0.013, 0.7, 0.005)
    predictor = MacsPredictor(TINY, line)
    times, budgets = latency(TINY)(genomes), np.quantile(latency(TINY)(genomes), (0.2, 0.5, 0.9))
    form = separable_form(predictor)
    front = search_front(
        TINY,
        latency(TINY),
        predictor.predict,
        separable=form,
        focus=tuple(budgets.tolist()),
        options=SearchOptions(evaluations=600),
    )
    for budget in budgets:
        most = predictor.predict(genomes[times <= budget]).max()
        assert most <= front.bound.at(budget) < most + 0.002
        best = TINY.genome([front.best(budget).subnet])
        assert table.macs(best)[0] >= 0.98 * table.macs(genomes[times <= budget]).max()
