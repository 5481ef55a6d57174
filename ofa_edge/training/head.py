"""A classifier's last layer without a step of training: ridge regression on the features in front of it.

What a head that begins at random would learn first is what a linear one can tell; beginning there, few images move the
layers below it less (A. Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022: linear probing first).
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.space import CLASSIFIER
from ofa_edge.supernet.evaluate import batches
from ofa_edge.supernet.static import StaticNet

RIDGE = 0.1  # of the mean square of a feature
_REACH = 4.0  # logits between an image's class and the mean of all, for a fit without error


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
    layer = next(each for each in net.get_submodule(CLASSIFIER).modules() if isinstance(each, nn.Linear))
    seen = list[Tensor]()
    hook = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().double()))
    try:
        with torch.inference_mode():
            for batch in batches(images, preprocessing):
                net.eval()(batch)
    finally:
        hook.remove()
    features, labels = torch.cat(seen), torch.from_numpy(images.labels)
    classes = layer.out_features
    counts = torch.bincount(labels, minlength=classes).clamp(min=1).double()
    weights = (len(labels) / classes / counts)[labels]  # classes count alike, however many images they have
    target = _REACH * (nn.functional.one_hot(labels, classes).double() - 1 / classes)
    mean = (weights[:, None] * features).sum(0) / weights.sum()
    centred, offset = features - mean, (weights[:, None] * target).sum(0) / weights.sum()
    gram = centred.T @ (weights[:, None] * centred)
    penalty = ridge * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), dtype=torch.float64)
    found = torch.linalg.solve(gram + penalty, centred.T @ (weights[:, None] * (target - offset)))
    rows = [number for number in range(classes) if number not in kept]
    with torch.no_grad():
        layer.weight[rows] = found.T[rows].to(layer.weight.dtype)
        layer.bias[rows] = (offset - mean @ found)[rows].to(layer.bias.dtype)
