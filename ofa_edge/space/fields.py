"""What defines a search space: the fields that are written down and hashed."""

import functools
from dataclasses import dataclass

from ofa_edge.space.families import FAMILIES, MOBILENET_V3, Family


@dataclass(frozen=True)
class SpaceFields:
    """The elastic dimensions and the fixed shape of a supernet.

    Attributes:
        strides: the stride plan: of the stem, then of the first block of each stage, or of the layer that the family
            gives it to (ResNet's max pooling).
        depths: blocks a stage, on top of those that the family's stages always have; an optional stage is kept in the
            largest.
        expands: width inside a block, as a multiple of its input width; of its output width in bottlenecks.
        width_ratios: of each width to its base; empty where widths are fixed.
        family: a name of `FAMILIES`.
    """

    name: str
    width_mult: float = 1.0
    in_channels: int = 3
    num_classes: int = 1000
    strides: tuple[int, ...] = MOBILENET_V3.strides
    resolutions: tuple[int, ...] = tuple(range(128, 225, 16))
    kernels: tuple[int, ...] = MOBILENET_V3.kernels
    expands: tuple[float, ...] = MOBILENET_V3.expands
    depths: tuple[int, ...] = MOBILENET_V3.depths
    width_ratios: tuple[float, ...] = ()
    family: str = "ofa_mobilenetv3"

    @property
    def shape(self) -> Family:
        """What the family shares."""
        return FAMILIES[self.family]

    @functools.cached_property
    def stage_depths(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of blocks to choose from, in each stage."""
        return tuple(stage.depths(self.depths) for stage in self.shape.stages)
