"""Predictors made for a package after its training."""

import json

import pytest
from tiny_package import copied_package, shared_package

from ofa_edge.errors import ConfigError, DataError
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training import pairs as pairs_module
from ofa_edge.training.package_data import predictor_images
from ofa_edge.workflows.accuracy_predictor import train_predictor


@pytest.fixture
def package(tmp_path_factory, tmp_path):
    folder = copied_package(shared_package(tmp_path_factory), tmp_path / "package")
    (folder / zoo.PREDICTOR).unlink()
    return open_supernet(str(folder))


def fit(package, count, images):
    calibration, held_out = predictor_images(package, None, None)
    return train_predictor(package, calibration, held_out.sample(images), count, package.folder)


def test_a_predictor_comes_with_its_error_on_held_out_subnets(package):
    figures = fit(package, 26, 40)
    assert figures["pairs"] == 26
    assert figures["images"] == 40
    assert -1 <= figures["kendall"] <= 1
    predictor = AccuracyPredictor.load(package.folder / zoo.PREDICTOR, package.space)
    assert predictor.summary().items() <= figures.items()
    stored = json.loads((package.folder / zoo.PAIRS).read_bytes())
    errors = [
        predictor.predict(package.space.genome([package.space.from_config(row)]))[0] - row["top1"]
        for row in stored["pairs"]
    ]
    assert sum(error**2 for error in errors) / 26 <= figures["rmse"] ** 2  # seen pairs are predicted better


def test_it_goes_on_where_it_was_and_starts_afresh_with_other_images(package, monkeypatch):
    measured = []
    real = pairs_module.measure
    monkeypatch.setattr(pairs_module, "measure", lambda *args: measured.append(args[1]) or real(*args))
    fit(package, 24, 20)
    assert len(measured) == 24
    fit(package, 26, 20)
    assert len(measured) == 26
    fit(package, 24, 21)
    assert len(measured) == 50


def test_it_predicts_what_the_packages_recipe_measures_by(package):
    from ofa_edge.search.load_predictor import load_predictor

    recipe = {"measure": {"metric": "balanced"}}
    (package.folder / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    fit(package, 24, 20)
    assert load_predictor(package.folder / zoo.PREDICTOR, package.space).metric == "balanced"
    assert json.loads((package.folder / zoo.PAIRS).read_bytes())["metric"] == "balanced"
    (package.folder / "recipe.json").unlink()
    fit(package, 24, 20)
    assert load_predictor(package.folder / zoo.PREDICTOR, package.space).metric == "top1"


def test_what_cannot_be_fitted_is_told(package):
    with pytest.raises(ConfigError, match="too few pairs"):
        fit(package, 5, None)
    (package.folder / zoo.IMAGES).unlink()
    with pytest.raises(DataError, match="has no images"):
        fit(package, 24, None)
    with pytest.raises(ConfigError, match="more pairs than subnets"):
        pairs_module.sample_subnets(package.space.restricted(kernels=(3,), expands=(3,)), 1000, 0)
