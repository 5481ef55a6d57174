"""The accuracy predictor of a supernet: sample subnets, calibrate and measure each, fit, say how good the fit is."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import Metric
from ofa_edge.search.load_predictor import package_predictor
from ofa_edge.search.predictor import MIN_PAIRS, AccuracyPredictor, FittedTo
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.package_data import package_metric
from ofa_edge.training.pairs import Examined, Pair, measure_examined, sample_subnets

__all__ = ["MIN_PAIRS", "PAIR_SEED", "fit_predictor", "measure_and_fit", "train_predictor"]

PAIR_SEED = 1


def measure_and_fit(
    supernet: Supernet,
    count: int,
    calibration: Images,
    images: Images,
    preprocessing: Preprocessing,
    file: Path,
    *,
    weights_sha256: str | None = None,
    seed: int = PAIR_SEED,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
    metric: Metric = "top1",
    prior: AccuracyPredictor | None = None,
    out_of_fold: Sequence[Examined] = (),
) -> AccuracyPredictor:
    """Measure subnets and fit a predictor to them.

    Args:
        supernet: trained.
        count: subnets to measure: both ends of the space at each resolution, and random ones.
        calibration: training images for batch norm calibration.
        images: held-out images that accuracy is measured on.
        preprocessing: normalisation, at any size.
        file: where the pairs are kept as they come; those found there are not measured again.
        weights_sha256: of the supernet's file, which the predictor then names, for packages.
        seed: of the random subnets.
        on_pair: progress: done, total.
        metric: what subnets are measured by, and the predictor predicts.
        prior: of the supernet that this one was trained from, if it was.
        out_of_fold: supernets that were trained like this one, each without some images, which it answers: more of
            them than are held out, and measured on in their place.
    """
    subnets = sample_subnets(supernet.space, count, seed)
    examined = out_of_fold or [Examined(supernet, calibration, images)]
    pairs = measure_examined(examined, subnets, preprocessing, file, on_pair, metric)
    images = functools.reduce(Images.joined, [each.images for each in examined])
    predictor = fit_predictor(supernet.space, pairs, metric, prior, len(images))
    return predictor.of(FittedTo(weights_sha256, images.digest)) if weights_sha256 else predictor


def fit_predictor(
    space: Space,
    pairs: list[Pair],
    metric: Metric = "top1",
    prior: AccuracyPredictor | None = None,
    images: int | None = None,
) -> AccuracyPredictor:
    """Fit the accuracy predictor of a space to pairs measured by `metric` on so many images."""
    genomes = space.genome(pair.subnet for pair in pairs)
    top1 = np.array([pair.top1 for pair in pairs])
    return replace(AccuracyPredictor.fit(space, genomes, top1, prior=prior, images=images), metric=metric)


def prior_of(package: SupernetPackage, metric: Metric) -> AccuracyPredictor | None:
    """A supernet's predictor, for networks that begin with its weights; None where it has none of that kind."""
    found = package_predictor(package)
    return found if isinstance(found, AccuracyPredictor) and found.metric == metric else None


def train_predictor(
    package: SupernetPackage,
    calibration: Images,
    images: Images,
    count: int,
    folder: Path,
    *,
    seed: int = PAIR_SEED,
    on_pair: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Make the predictor of a supernet.

    Args:
        package: the supernet.
        calibration: training images.
        images: held-out images that accuracy is measured on.
        count: subnets to measure.
        folder: gets `predictor.safetensors` and `pairs.json`. Pairs found there are used if they are of the same
            weights and images, and replaced if not.
        seed: of the random subnets.
        on_pair: progress.

    Returns:
        The fit's figures: RMSE, Kendall's tau and Spearman's rho on held-out subnets (cross-validation).

    Raises:
        ConfigError: too few subnets, or more than there are.
    """
    if count < MIN_PAIRS:
        raise ConfigError("too few pairs", f"{count}, at least {MIN_PAIRS} are needed", f"--pairs {MIN_PAIRS}")
    supernet = package.load()
    assert package.weights is not None
    predictor = measure_and_fit(
        supernet,
        count,
        calibration,
        images,
        package.preprocessing(package.space.resolutions[-1]),
        folder / zoo.PAIRS,
        weights_sha256=sha256_file(package.weights),
        seed=seed,
        on_pair=on_pair,
        metric=package_metric(package),
    )
    digest = predictor.save(folder / zoo.PREDICTOR)
    return {**predictor.summary(), "images": len(images), "space_hash": package.space.hash, "sha256": digest}
