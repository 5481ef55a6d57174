"""A classifier's last layer without a step of training: ridge regression on the features in front of it.

What a head that begins at random would learn first is what a linear one can tell; beginning there, few images move the
layers below it less (A. Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022: linear probing first).
One head serves all subnets of a supernet: it is fitted to the features of several, of augmented images. Each subnet
sees an image a little differently, which regularises as further views of it do (benchmarks/transfer.py).
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.space import CLASSIFIER, Space, Subnet
from ofa_edge.supernet.evaluate import batches, extract_calibrated
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.batches import Batches
from ofa_edge.training.plan import HEAD_SUBNETS, head_views

RIDGE = 0.1  # of the mean square of a feature
_REACH = 4.0  # logits between an image's class and the mean of all, for a fit without error


class Regression:
    """The normal equations of a weighted linear regression with an intercept, summed up part by part in float64."""

    def __init__(self, labels: Tensor, classes: int) -> None:
        counts = torch.bincount(labels, minlength=classes).clamp(min=1).double()
        self._weights = len(labels) / classes / counts  # classes count alike, however many images they have
        self._aims = _REACH * (torch.eye(classes, dtype=torch.float64) - 1 / classes)
        self._sums: list[Tensor] = []  # of weights, features, aims, features' and their aims' products

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Take in features [N, F], float64, and the class of each [N]."""
        weights, aims = self._weights[labels], self._aims[labels]
        weighted = weights[:, None] * features
        sums = [weights.sum(), weighted.sum(0), weights @ aims, features.T @ weighted, weighted.T @ aims]
        self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)] if self._sums else sums

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Weights [classes, F] and biases [classes]."""
        total, features, aims, gram, cross = self._sums
        mean, offset = features / total, aims / total
        centred = gram - torch.outer(features, mean)
        penalty = ridge * centred.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), dtype=torch.float64)
        found = torch.linalg.solve(centred + penalty, cross - torch.outer(features, offset))
        return found.T, offset - mean @ found


def fit_head(
    net: StaticNet, images: Images, preprocessing: Preprocessing, kept: Collection[int] = (), ridge: float = RIDGE
) -> None:
    """Set the last layer of a calibrated network to the best linear one on these images.

    Args:
        net: changed in place.
        images: with their labels.
        preprocessing: at the network's size.
        kept: rows that stay as they are.
        ridge: how strongly weights are held small, in mean squares of a feature.
    """
    layer, labels = _last_layer(net), torch.from_numpy(images.labels)
    regression = Regression(labels, layer.out_features)
    regression.add(_features(net, batches(images, preprocessing)), labels)
    _set_rows(layer, *regression.solve(ridge), kept)


def set_shared_head(net: Supernet, regression: Regression, kept: Collection[int] = (), ridge: float = RIDGE) -> None:
    """Set the last layer of a supernet to the best linear one for subnets of all kinds.

    Args:
        net: changed in place.
        regression: see `shared_regression`; every ridge solves the same.
        kept: rows that stay as they are.
        ridge: how strongly weights are held small, in mean squares of a feature.
    """
    _set_rows(_last_layer(net), *regression.solve(ridge), kept)


def shared_regression(net: Supernet, views: Batches, calibration: Images) -> Regression:
    """The equations of a supernet's last layer, over subnets of all kinds and views of images.

    Args:
        net: on the CPU.
        views: augmented training images of one process, at every size of the space.
        calibration: training images that each subnet is calibrated on.
    """
    layer = _last_layer(net)
    regression = Regression(views.labels, layer.out_features)
    steps = head_views(len(views.labels)) // views.batch
    for subnet in _fitted_to(net.space, views.seed):
        single = extract_calibrated(net, subnet, calibration, views.preprocessing)
        for step in range(steps):
            x, labels = views.get(step, subnet.resolution, views.generator(step))
            features = _features(single, [x])
            missing = layer.in_features - features.shape[1]  # of a subnet that is narrower at its end
            regression.add(nn.functional.pad(features, (0, missing)), labels)
    return regression


def _fitted_to(space: Space, seed: int) -> Iterator[Subnet]:
    """Both ends of the space, and random subnets at random sizes."""
    yield space.largest()
    yield space.smallest()
    for genome in space.sample(np.random.default_rng(seed), HEAD_SUBNETS - 2):
        yield space.subnet(genome)


def _last_layer(net: nn.Module) -> nn.Linear:
    return next(each for each in net.get_submodule(CLASSIFIER).modules() if isinstance(each, nn.Linear))


def _features(net: StaticNet, images: Iterable[Tensor]) -> Tensor:
    """What the last layer of a calibrated network is given for images [N, C, r, r]: float64 [N, F]."""
    seen = list[Tensor]()
    hook = _last_layer(net).register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().double()))
    try:
        with torch.inference_mode():
            for batch in images:
                net.eval()(batch)
    finally:
        hook.remove()
    return torch.cat(seen)


def _set_rows(layer: nn.Linear, weight: Tensor, bias: Tensor, kept: Collection[int]) -> None:
    rows = [number for number in range(layer.out_features) if number not in kept]
    with torch.no_grad():
        layer.weight[rows] = weight[rows].to(layer.weight.dtype)
        layer.bias[rows] = bias[rows].to(layer.bias.dtype)
