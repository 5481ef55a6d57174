"""An accuracy predictor out of its file, whichever kind it is."""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import SpaceMismatchError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import Metric
from ofa_edge.search import published_predictor
from ofa_edge.search.bound import SeparableAccuracy
from ofa_edge.search.front import NoBound
from ofa_edge.search.macs_predictor import MacsPredictor
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.predictor_file import kinds_of
from ofa_edge.search.published_predictor import PublishedPredictor
from ofa_edge.shown import pasteable
from ofa_edge.space import Genomes, Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import SupernetPackage


class Predictor(Protocol):
    """What search needs of an accuracy predictor."""

    @property
    def rmse(self) -> float:
        """Expected error of one prediction, in the unit of top-1, 0..1."""

    @property
    def rmse_source(self) -> Literal["held-out", "published"]:
        """Whether that error was measured on held-out pairs of this supernet, or is what a paper says."""

    @property
    def metric(self) -> Metric:
        """What it predicts."""

    def predict(self, genomes: Genomes) -> NDArray[np.float64]:
        """Top-1 of canonical genomes [N, genome_length] as fractions of 1: [N]."""


def separable_form(predictor: Predictor) -> SeparableAccuracy | NoBound:
    """The predictor as a sum over blocks and a curve of MACs, for an upper bound; or why it has no such form."""
    if isinstance(predictor, AccuracyPredictor | MacsPredictor):
        return predictor.separable
    if isinstance(predictor, PublishedPredictor):
        return NoBound("the predictor is a neural network, which no sum over blocks majorises closely")
    return NoBound("the predictor is not known to be a sum over blocks")


def package_predictor(package: SupernetPackage) -> Predictor | None:
    """The predictor of a package; None where it has none, or holds one network, which needs none.

    Raises:
        WeightsError: it was fitted to other weights than those beside it; see also `load_predictor`.
    """
    path = package.file(zoo.PREDICTOR) if package.subnet is None else None
    if path is None:
        return None
    predictor = load_predictor(path, package.space)
    fitted_to = predictor.fitted_to if isinstance(predictor, AccuracyPredictor) else None
    assert package.weights is not None
    if fitted_to is not None and fitted_to.weights_sha256 != (found := sha256_file(package.weights)):
        raise WeightsError(
            "accuracy predictor of other weights",
            f"{path}: fitted to subnets of {fitted_to.weights_sha256[:12]}, and {package.weights.name} is {found[:12]}",
            f"fit one to these: {pasteable('ofa-edge', 'predictor', 'train', '--supernet', package.name)}",
        )
    return predictor


def fitting(predictor: AccuracyPredictor, package: SupernetPackage) -> AccuracyPredictor:
    """Return `predictor` if it is of the package's space, else raise SpaceMismatchError."""
    if predictor.space == package.space:
        return predictor
    raise SpaceMismatchError(
        "accuracy predictor of another search space",
        f"fitted to '{predictor.space.name}', searching '{package.space.name}' of '{package.name}'",
        "fit one to subnets of this supernet",
    )


def load_predictor(path: Path, space: Space) -> Predictor:
    """Read a predictor of `space`: one that `ofa-edge train` fitted, or a published one that `zoo import` took in.

    Raises:
        SpaceMismatchError: it is for another search space.
        WeightsError: it is missing, damaged, or no accuracy predictor.
    """
    if published_predictor.FORMAT in kinds_of(path):
        return PublishedPredictor.load(path, space)
    return AccuracyPredictor.load(path, space)
