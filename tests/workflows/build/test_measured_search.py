"""Candidates are measured by what the predictor predicts, and the manifest and the build's words say so."""

from types import SimpleNamespace

import numpy as np
import pytest
from manifests import facts
from tiny_package import images

from ofa_edge.cli.build import summary
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.records.manifest import Manifest
from ofa_edge.space import Space
from ofa_edge.workflows.build import measured_search as correcting

SPACE = Space("tiny", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (12, 16), depths=(1, 2))


@pytest.mark.parametrize("metric", ["top1", "balanced"])
def test_a_search_measures_by_the_predictors_metric(monkeypatch, metric):
    given = {}

    def stand_in(predict, rmse, count, pool, propose, measure, heads, most, seed, weights):
        given["weights"] = weights
        answers = SimpleNamespace(genomes=pool)
        return SimpleNamespace(correction=SimpleNamespace(answers=answers), chosen=0)

    monkeypatch.setattr(correcting, "measured_search", stand_in)
    sorted_images = images(30, 0).take(np.argsort(images(30, 0).labels, kind="stable"))
    plan = SimpleNamespace(
        predictor=SimpleNamespace(predict=None, rmse=0.01, metric=metric),
        package=SimpleNamespace(load=lambda: None, space=SPACE),
        data=SimpleNamespace(validation=sorted_images),
        measure=4,
        seed=0,
        constraints=SimpleNamespace(min_accuracy=None),
    )
    pool = SPACE.genome([SPACE.largest(), SPACE.smallest()])
    assert correcting.corrected_search(plan, pool, None, None).chosen == SPACE.largest()
    if metric == "top1":
        assert given["weights"] is None
    else:
        weights = [given["weights"][sorted_images.labels == label].sum() for label in range(3)]
        assert weights == pytest.approx([1 / 3] * 3)


def test_what_was_measured_once_is_not_measured_again(monkeypatch):
    """By another latency model or budget the same subnets are met; by other images, or weights, they are others."""
    extracted = []
    monkeypatch.setattr("ofa_edge.supernet.own_data.subnet_for", lambda *args: extracted.append(args[2]))
    monkeypatch.setattr("ofa_edge.supernet.evaluate.logits", lambda net, images, sizes: np.eye(3)[images.labels])
    monkeypatch.setattr(correcting, "weights_digest", lambda package: package.weights)
    pool = SPACE.genome([SPACE.largest(), SPACE.smallest()])
    answers = []

    def stand_in(predict, rmse, count, pool, propose, measure, *others):
        answers.append([measure(genome) for genome in pool])
        return SimpleNamespace(correction=SimpleNamespace(answers=SimpleNamespace(genomes=pool)), chosen=0)

    monkeypatch.setattr(correcting, "measured_search", stand_in)

    def search(**changes):
        given = {"weights": "one", "calibration": images(8, 1), "validation": images(30, 0)} | changes
        preprocessing = Preprocessing(16, 1, (72.9,), (90.0,))
        plan = SimpleNamespace(
            predictor=SimpleNamespace(predict=None, rmse=0.01, metric="top1"),
            package=SimpleNamespace(
                load=lambda: None, space=SPACE, weights=given["weights"], preprocessing=preprocessing.at
            ),
            data=SimpleNamespace(calibration=given["calibration"], validation=given["validation"]),
            measure=4,
            seed=0,
            constraints=SimpleNamespace(min_accuracy=None),
        )
        before = len(extracted)
        correcting.corrected_search(plan, pool, None, None)
        return len(extracted) - before

    assert (search(), search()) == (2, 0)
    assert np.array_equal(answers[0], answers[1])
    assert search(weights="two") == search(calibration=images(8, 2)) == search(validation=images(30, 3)) == 2
    monkeypatch.setattr(correcting, "_KEPT", 3)
    search(weights="three")
    assert len(correcting._answers) == 3


def test_a_build_says_what_it_went_by(tmp_path):
    parts = facts()
    assert "balanced" not in summary(Manifest(**parts), tmp_path)
    search = parts["search"].model_copy(update={"metric": "balanced"})
    assert "subnets evaluated, by balanced accuracy" in summary(Manifest(**{**parts, "search": search}), tmp_path)
