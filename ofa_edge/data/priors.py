"""The priors of a detector of SSD's kind: boxes that its outputs are offsets from."""

from dataclasses import dataclass

VARIANCES = (0.1, 0.2)  # Caffe's SSD; torchvision's weights of 10 and 5 are the same


@dataclass(frozen=True)
class Priors:
    """Priors as a decoding keeps them.

    Attributes:
        packed: [N, 4], as `raw_boxes.packed_priors` writes them.
        variances: what offsets of centres and of sizes are multiplied by.
    """

    packed: str
    variances: tuple[float, float] = VARIANCES
