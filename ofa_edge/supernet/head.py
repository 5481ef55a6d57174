"""A classifier's last layer without a step of training: ridge regression on the features in front of it.

What a head that begins at random would learn first is what a linear one can tell; beginning there, few images move the
layers below it less (A. Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022: linear probing first).
A supernet's subnets may share one such head, or have each its own, solved when it is calibrated: with few images what
is shared costs more than how it is trained (benchmarks/transfer.py).
"""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from ofa_edge.space import CLASSIFIER
from ofa_edge.supernet.static import StaticNet

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
    net: StaticNet, images: Iterable[Tensor], labels: Tensor, kept: Collection[int] = (), ridge: float = RIDGE
) -> None:
    """Set the last layer of a calibrated network to the best linear one on these images.

    Args:
        net: changed in place.
        images: normalised batches [N, C, r, r].
        labels: of all of them.
        kept: rows that stay as they are.
        ridge: how strongly weights are held small, in mean squares of a feature.
    """
    layer = last_layer(net)
    regression = Regression(labels, layer.out_features)
    regression.add(features(net, images), labels)
    set_rows(layer, *regression.solve(ridge), kept)


def last_layer(net: nn.Module) -> nn.Linear:
    """The layer that gives logits."""
    return next(each for each in net.get_submodule(CLASSIFIER).modules() if isinstance(each, nn.Linear))


def features(net: StaticNet, images: Iterable[Tensor]) -> Tensor:
    """What the last layer of a calibrated network is given for images [N, C, r, r]: float64 [N, F]."""
    seen = list[Tensor]()
    hook = last_layer(net).register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().double()))
    try:
        with torch.inference_mode():
            for batch in images:
                net.eval()(batch)
    finally:
        hook.remove()
    return torch.cat(seen)


def set_rows(layer: nn.Linear, weight: Tensor, bias: Tensor, kept: Collection[int]) -> None:
    """Replace a layer's rows, but for those that are kept."""
    rows = [number for number in range(layer.out_features) if number not in kept]
    with torch.no_grad():
        layer.weight[rows] = weight[rows].to(layer.weight.dtype)
        layer.bias[rows] = bias[rows].to(layer.bias.dtype)
