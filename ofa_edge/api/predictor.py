"""An accuracy predictor of one's own measurements."""

from collections.abc import Mapping

from ofa_edge.metrics import Metric
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space, Subnet
from ofa_edge.training.pairs import Pair
from ofa_edge.workflows import accuracy_predictor


def fit_predictor(space: Space, accuracies: Mapping[Subnet, float], *, metric: Metric = "top1") -> AccuracyPredictor:
    """Fit an accuracy predictor, for `search_front`, and judge it on held-out subnets by cross-validation.

    `predict(space.genome(subnets))` of the result gives accuracies [N], its `held_out` the error and the ranking.

    Args:
        space: of the supernet.
        accuracies: 24 or more subnets of it, each with its measured accuracy, 0..1.
        metric: what was measured: as in `evaluate`.

    Raises:
        DataError: too few subnets, or accuracies that are not fractions.
        ConfigError: a subnet is of another space.
    """
    pairs = [Pair(space.check(subnet), accuracy) for subnet, accuracy in accuracies.items()]
    return accuracy_predictor.fit_predictor(space, pairs, metric)
