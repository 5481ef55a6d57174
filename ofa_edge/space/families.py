"""The published families as data: what all spaces of a family share (Once-For-All, appendix B, and its reference)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ofa_edge.space.blocks import Activation, BlockKind

Family = Literal["ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet"]


@dataclass(frozen=True)
class StageShape:
    """One elastic stage.

    Attributes:
        width: output channels at multiplier 1.0.
        base_depth: blocks that are always there; the space's depths are counted on top.
        optional: a stage of one block, skipped or kept; kept where the depth is the largest.
        single: a stage of exactly one block, whatever the space's depths.
        expands: the only expand ratios of its blocks, where the space's do not apply.
    """

    width: int
    activation: Activation
    squeeze: bool = False
    kind: BlockKind = "mbconv"
    base_depth: int = 0
    optional: bool = False
    single: bool = False
    expands: tuple[float, ...] = ()

    def depths(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        """Numbers of blocks to choose from, where the space's depths are `chosen`."""
        return tuple(sorted({self.blocks(depth, chosen) for depth in chosen}))

    def blocks(self, depth: int, chosen: tuple[int, ...]) -> int:
        """Number of blocks at one of the space's depths."""
        if self.single:
            return 1
        return int(depth == chosen[-1]) if self.optional else self.base_depth + depth


@dataclass(frozen=True)
class FamilyShape:
    """One family.

    Attributes:
        stem: base widths in front of the stages: of the first convolution and of what follows it.
        stages: the elastic stages.
        head: base widths behind them. With two, the second layer mixes features after pooling, without batch norm;
            with one, it does so before pooling, with batch norm.
        stem_activation, head_activation: of the layers in front of and behind the stages.
        static_activation: of the static first block of the MBConv families.
        static_shortcut: whether that block has a shortcut where its widths are equal.
        strides: default stride plan, of the stem and then of each stage. In ResNet the first stage's is max pooling's.
        kernels, expands, depths, width_ratios: the published choices. No width ratios: widths are not elastic.
    """

    stem: tuple[int, int]
    stages: tuple[StageShape, ...]
    head: tuple[int, ...]
    stem_activation: Activation
    head_activation: Activation
    static_activation: Activation
    static_shortcut: bool
    bn_eps: float
    strides: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    expands: tuple[float, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)
    width_ratios: tuple[float, ...] = ()


MOBILENET_V3 = FamilyShape(
    stem=(16, 16),
    stages=(
        StageShape(24, "relu"),
        StageShape(40, "relu", squeeze=True),
        StageShape(80, "h_swish"),
        StageShape(112, "h_swish", squeeze=True),
        StageShape(160, "h_swish", squeeze=True),
    ),
    head=(960, 1280),
    stem_activation="h_swish",
    head_activation="h_swish",
    static_activation="relu",
    static_shortcut=True,
    bn_eps=1e-5,
    strides=(2, 2, 2, 2, 1, 2),
)

PROXYLESS = FamilyShape(
    stem=(32, 16),
    stages=(
        *(StageShape(width, "relu6") for width in (24, 40, 80, 96, 192)),
        StageShape(320, "relu6", single=True),
    ),
    head=(1280,),
    stem_activation="relu6",
    head_activation="relu6",
    static_activation="relu6",
    static_shortcut=False,
    bn_eps=1e-3,
    strides=(2, 2, 2, 2, 1, 2, 1),
)

# The stem is ResNet-D's: three 3x3 convolutions, of which the middle one is residual and may be skipped.
RESNET = FamilyShape(
    stem=(32, 64),
    stages=(
        StageShape(32, "relu", kind="conv", optional=True, expands=(1,)),
        *(
            StageShape(width, "relu", kind="bottleneck", base_depth=depth)
            for width, depth in ((256, 2), (512, 2), (1024, 4), (2048, 2))
        ),
    ),
    head=(),
    stem_activation="relu",
    head_activation="relu",
    static_activation="relu",
    static_shortcut=False,
    bn_eps=1e-5,
    strides=(2, 2, 1, 2, 2, 2),
    kernels=(3,),
    expands=(0.2, 0.25, 0.35),
    depths=(0, 1, 2),
    width_ratios=(0.65, 0.8, 1.0),
)

FAMILIES: Mapping[Family, FamilyShape] = MappingProxyType(
    {"ofa_mobilenetv3": MOBILENET_V3, "ofa_proxyless": PROXYLESS, "ofa_resnet": RESNET}
)
