"""Accuracy of extracted networks: re-calibrate batch norms, run, count."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import WeightsError
from ofa_edge.metrics import METRICS, Metric
from ofa_edge.space import Subnet
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.head import fit_head
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet, require_images

BATCH = 250


def batches(images: Images, preprocessing: Preprocessing, size: int = BATCH) -> Iterator[Tensor]:
    """Normalised image batches [N, C, r, r] of equal length, to one image: none is too small for its own statistics."""
    for part in np.array_split(images.pixels, max(1, -(-len(images) // size))):
        yield torch.from_numpy(preprocessing.apply(part))


def logits(net: nn.Module, images: Images, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Logits [N, classes] of a network in eval mode.

    Raises:
        WeightsError: it was not calibrated.
        ConfigError: a subnet's images are not of its resolution.
    """
    if isinstance(net, StaticNet) and not net.calibrated:
        raise WeightsError(
            "network is not calibrated",
            "its batch norms hold the supernet's statistics, a blend over many subnets: its accuracy means nothing",
            "recalibrate_bn(net, batches) first",
        )
    net.eval()
    answers = []
    with torch.inference_mode():
        for batch in batches(images, preprocessing):
            if isinstance(net, StaticNet):
                require_images(batch, net.space, net.subnet)
            answers.append(net(batch.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(answers)


def extract_calibrated(
    supernet: Supernet, subnet: Subnet, calibration: Images, preprocessing: Preprocessing, learnt: Images | None = None
) -> StaticNet:
    """Extract a subnet and calibrate it at its own resolution (see `calibrate`)."""
    return calibrate(supernet.extract(subnet), calibration, preprocessing, learnt)


def calibrate(net: StaticNet, images: Images, preprocessing: Preprocessing, learnt: Images | None = None) -> StaticNet:
    """Set an extracted network's batch norm statistics from images, in place, and its own head where it has one.

    Args:
        net: changed in place.
        images: that statistics are of.
        preprocessing: at any size.
        learnt: training images, that its own head is fitted to; the same images by default. Where they lack a class
            it keeps the head that all subnets share.
    """
    sizes, learnt = preprocessing.at(net.subnet.resolution), images if learnt is None else learnt
    if net.own_head is None or len(np.unique(learnt.labels)) < net.space.num_classes:
        return recalibrate_bn(net, batches(images, sizes))
    recalibrate_bn(net, batches(learnt, sizes))
    fit_head(net, batches(learnt, sizes), torch.from_numpy(learnt.labels), ridge=net.own_head)
    return net if learnt.digest == images.digest else recalibrate_bn(net, batches(images, sizes))


def subnet_logits(
    supernet: Supernet, subnet: Subnet, calibration: Images, images: Images, preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Logits [N, classes] of a subnet after extraction and calibration, with its batch norms folded."""
    net = extract_calibrated(supernet, subnet, calibration, preprocessing)
    return logits(fold_batch_norm(net), images, preprocessing.at(subnet.resolution))


def measure(
    supernet: Supernet,
    subnet: Subnet,
    calibration: Images,
    images: Images,
    preprocessing: Preprocessing,
    metric: Metric = "top1",
) -> float:
    """Top-1 or balanced accuracy, 0..1, of a subnet after extraction and calibration."""
    return METRICS[metric](subnet_logits(supernet, subnet, calibration, images, preprocessing), images.labels)


def measure_top1(
    supernet: Supernet, subnet: Subnet, calibration: Images, images: Images, preprocessing: Preprocessing
) -> float:
    """Top-1, 0..1, of a subnet after extraction and calibration."""
    return measure(supernet, subnet, calibration, images, preprocessing)
