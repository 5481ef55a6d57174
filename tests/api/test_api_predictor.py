"""A predictor of one's own measurements, and a search that goes by it."""

import numpy as np
import pytest

import ofa_edge as oe
from ofa_edge.search.predictor import AccuracyPredictor

SPACE = oe.open_supernet("fashion-mnist").space
SUBNETS = oe.sample(SPACE, 30, seed=3)


def depth(subnet: oe.Subnet) -> float:
    """An accuracy that deep networks have, whatever their kernels."""
    return 0.5 + 0.01 * sum(subnet.depths)


def test_it_is_the_fit_of_the_pairs() -> None:
    accuracies = {subnet: depth(subnet) for subnet in SUBNETS}
    found = oe.fit_predictor(SPACE, accuracies, metric="balanced")
    genomes = SPACE.genome(SUBNETS)
    wanted = AccuracyPredictor.fit(SPACE, genomes, np.array(list(accuracies.values())))
    assert (found.predict(genomes) == wanted.predict(genomes)).all()
    assert (found.held_out, found.metric, wanted.metric) == (wanted.held_out, "balanced", "top1")


def test_a_search_goes_by_it() -> None:
    shallow = oe.fit_predictor(SPACE, {subnet: 1.0 - depth(subnet) for subnet in SUBNETS})
    deep = oe.fit_predictor(SPACE, {subnet: depth(subnet) for subnet in SUBNETS})
    best = {}
    for name, predictor in (("shallow", shallow), ("deep", deep)):
        found = oe.search_front("raspberry-pi-4", predictor=predictor, evaluations=500)
        assert (found.ranked.by, found.ranked.predictor) == ("predictor", predictor)
        best[name] = sum(found.best[0].subnet.depths)
        assert found.best[0].accuracy == predictor.predict(SPACE.genome([found.best[0].subnet]))[0]
    assert best["shallow"] == sum(SPACE.smallest().depths) < best["deep"]


def test_an_accuracy_may_be_asked_for_where_only_it_predicts_any() -> None:
    package = oe.open_supernet("ofa_mbv3_d234_e346_k357_w1.0", untrained=True)
    asked = oe.Constraints(min_accuracy=0.6)
    fitted = oe.fit_predictor(package.space, {each: depth(each) for each in oe.sample(package.space, 30)})
    with pytest.raises(oe.ConfigError, match="nothing predicts the accuracy"):
        oe.search_front("pixel-4", supernet=package, constraints=asked, evaluations=500)
    found = oe.search_front("pixel-4", supernet=package, constraints=asked, evaluations=500, predictor=fitted)
    assert all(each.accuracy >= 0.6 for each in found.best)


def test_what_does_not_fit_is_refused() -> None:
    accuracies = {subnet: depth(subnet) for subnet in SUBNETS}
    with pytest.raises(oe.DataError, match="cannot fit"):
        oe.fit_predictor(SPACE, dict(list(accuracies.items())[:23]))
    other = oe.open_supernet("ofa_mbv3_d234_e346_k357_w1.0", untrained=True)
    with pytest.raises(oe.ConfigError, match="not of space"):
        oe.fit_predictor(other.space, accuracies)
    with pytest.raises(oe.SpaceMismatchError, match="another search space"):
        oe.search_front("pixel-4", supernet=other, predictor=oe.fit_predictor(SPACE, accuracies))
