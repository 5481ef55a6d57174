"""One last layer in closed form for all subnets of a supernet: fitted to the features of several, of augmented images.

Each subnet sees an image a little differently, which regularises as further views of it do (benchmarks/transfer.py).
"""

from collections.abc import Collection, Iterator

import numpy as np
from torch import nn

from ofa_edge.data.dataset import Images
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches
from ofa_edge.supernet.head import RIDGE, Regression, features, last_layer, set_rows
from ofa_edge.supernet.network import Supernet
from ofa_edge.training.batches import Batches
from ofa_edge.training.plan import HEAD_SUBNETS, head_views


def set_shared_head(net: Supernet, regression: Regression, kept: Collection[int] = (), ridge: float = RIDGE) -> None:
    """Set the last layer of a supernet to the best linear one for subnets of all kinds.

    Args:
        net: changed in place.
        regression: see `shared_regression`; every ridge solves the same.
        kept: rows that stay as they are.
        ridge: how strongly weights are held small, in mean squares of a feature.
    """
    set_rows(last_layer(net), *regression.solve(ridge), kept)


def shared_regression(net: Supernet, views: Batches, calibration: Images) -> Regression:
    """The equations of a supernet's last layer, over subnets of all kinds and views of images.

    Args:
        net: on the CPU.
        views: augmented training images of one process, at every size of the space.
        calibration: training images that each subnet is calibrated on.
    """
    layer = last_layer(net)
    regression = Regression(views.labels, layer.out_features)
    steps = head_views(len(views.labels)) // views.batch
    for subnet in _fitted_to(net.space, views.seed):
        shown = batches(calibration, views.preprocessing.at(subnet.resolution))
        single = recalibrate_bn(net.extract(subnet), shown)  # what is in front of the head is all that is wanted
        for step in range(steps):
            x, labels = views.get(step, subnet.resolution, views.generator(step))
            seen = features(single, [x])
            missing = layer.in_features - seen.shape[1]  # of a subnet that is narrower at its end
            regression.add(nn.functional.pad(seen, (0, missing)), labels)
    return regression


def _fitted_to(space: Space, seed: int) -> Iterator[Subnet]:
    """Both ends of the space, and random subnets at random sizes."""
    yield space.largest()
    yield space.smallest()
    for genome in space.sample(np.random.default_rng(seed), HEAD_SUBNETS - 2):
        yield space.subnet(genome)
