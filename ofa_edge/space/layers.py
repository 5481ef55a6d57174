"""One layer outside the elastic blocks: what its family fixes, and the widths that a space gives it."""

from dataclasses import dataclass
from typing import Literal

from ofa_edge.space.blocks import Activation
from ofa_edge.space.widths import make_divisible

LayerKind = Literal["conv", "separable", "max_pool", "global_pool", "mix", "classifier"]


@dataclass(frozen=True)
class Layer:
    """One layer that all networks of a family have.

    Attributes:
        child: the network's child that it is; with blocks or other layers of the same name, the list that it is in.
        kind: a convolution with batch norm; a depthwise and a pointwise one (the first block of MBConv networks);
            3x3 max pooling; the mean over the map; a pointwise convolution of pooled features without batch norm,
            always with hard-swish; the linear layer at the end.
        width: output channels at multiplier 1.0. None keeps those of the input; a classifier's are the classes.
        halved: `width` is that of the layer behind, and half of it, rounded first, is this one's (ResNet-D's stem).
        kernel: of a convolution.
        stride: which stride of the space's plan it has; None: stride 1.
        shortcut: of a `separable` layer: its input is added where its widths are equal.
    """

    child: str
    kind: LayerKind
    width: int | None = None
    activation: Activation | None = None
    kernel: int = 3
    stride: int | None = None
    halved: bool = False
    shortcut: bool = False

    def channels(self, *factors: float) -> int:
        """Output channels at a width multiplier and a width ratio."""
        full = scaled(self.width, *factors)
        return make_divisible(full // 2) if self.halved else full


@dataclass(frozen=True)
class LayerSpec:
    """A layer between the widths at hand: the largest in a supernet, the active ones in a subnet."""

    layer: Layer
    in_channels: int
    out_channels: int
    stride: int
    bn_eps: float

    @property
    def shortcut(self) -> bool:
        """Whether the input is added to the output."""
        return self.layer.shortcut and self.stride == 1 and self.in_channels == self.out_channels


def scaled(width: int | None, *factors: float) -> int:
    """A base width times factors, divisible as networks have it."""
    assert width is not None, "a part that keeps its input's channels has no width"
    value: float = width
    for factor in factors:
        value *= factor
    return make_divisible(value)
