"""Classes of unlike size: an epoch that shows all alike often, or labels that weigh more where they are rare."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of an epoch's images [N], as many as there are, each class alike often (to one image), shuffled.

    A small class is gone through as many times as it takes; of a large one a random part is shown, another one in the
    next epoch. No image of a class comes a time more before all others of it have come.
    """
    _, place = np.unique(labels, return_inverse=True)
    classes = int(place.max()) + 1
    quotas = np.full(classes, len(labels) // classes)
    quotas[rng.permutation(classes)[: len(labels) % classes]] += 1
    chosen = []
    for label, quota in enumerate(quotas.tolist()):
        own = np.flatnonzero(place == label)
        rounds = [rng.permutation(own) for _ in range(-(-quota // len(own)))]
        chosen.append(np.concatenate([*rounds, own[:0]])[:quota])
    return rng.permutation(np.concatenate(chosen)).astype(np.int64)


def class_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """Weights of labels [classes], inverse to the images of their class, mean 1 over the images; 0 for an empty one."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    shown = counts > 0
    weights = np.divide(len(labels) / shown.sum(), counts, out=np.zeros(classes), where=shown)
    return torch.from_numpy(weights.astype(np.float32))


def label_loss(logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Cross entropy of logits [N, C] against labels [N], mean over the images.

    Args:
        logits: of the network.
        labels: class numbers.
        smoothing: label smoothing.
        weights: of each class [C]. Each image counts by its class's weight, and the sum is divided by the number of
            images, not by their weights: so the parts of a batch in several processes add up to the whole.
    """
    if weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    each = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    return (weights[labels] * each).mean()
