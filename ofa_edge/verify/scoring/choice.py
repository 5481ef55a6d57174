"""The scorer of a network on its images."""

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.annotations import Boxes, Masks, Truth
from ofa_edge.network import Network
from ofa_edge.verify.scoring.base import Scorer
from ofa_edge.verify.scoring.classification import TopOne
from ofa_edge.verify.scoring.detection import MeanAveragePrecision
from ofa_edge.verify.scoring.segmentation import MeanIou


def scorer_for(network: Network, labels: NDArray[np.int64] | None, truth: Truth | None) -> Scorer | None:
    """What says how right a network's answers are.

    Args:
        network: whose answers.
        labels: class numbers of the images; None where they mean nothing.
        truth: of images that are more than a class each.

    Returns:
        None where nothing says what is right.
    """
    output, decoding = network.interface.outputs[0], network.interface.decoding
    if isinstance(truth, Boxes) and decoding is not None:
        return MeanAveragePrecision(truth, network.labels, decoding)
    if isinstance(truth, Masks):
        return MeanIou(truth, network.labels, output.shape, output.layout, output.threshold)
    return None if labels is None else TopOne(labels, network.values)
