"""Well-known networks as lists of operators: what others' accelerators and models are held against.

Each function returns the operators of one inference, batch 1, BN folded, activations fused except hard-swish. Shapes
follow the papers and the reference implementations named in the docstrings. Padding is "same" throughout.
"""

from ofa_edge.cost.counts import Operator, OperatorKind
from ofa_edge.space import make_divisible, output_size

Network = tuple[Operator, ...]


class NetworkBuilder:
    """Strings operators together, keeping track of channels and size."""

    def __init__(self, channels: int, size: int) -> None:
        self.channels = channels
        self.size = size
        self.operators: list[Operator] = []

    def _append(self, kind: OperatorKind, out: int, kernel: int = 1, stride: int = 1, size: int | None = None) -> None:
        size = output_size(self.size, stride) if size is None else size
        self.operators.append(Operator(kind, self.channels, out, self.size, size, kernel, stride))
        self.channels, self.size = out, size

    def conv(self, out: int, kernel: int = 1, stride: int = 1) -> "NetworkBuilder":
        """A convolution over all channels."""
        self._append("pointwise" if kernel == 1 else "conv", out, kernel, stride)
        return self

    def depthwise(self, kernel: int, stride: int = 1) -> "NetworkBuilder":
        """A depthwise convolution."""
        self._append("depthwise", self.channels, kernel, stride)
        return self

    def swish(self) -> "NetworkBuilder":
        """Hard-swish."""
        self._append("h_swish", self.channels)
        return self

    def add(self) -> "NetworkBuilder":
        """A shortcut added on."""
        self._append("add", self.channels)
        return self

    def pool(self, stride: int = 2) -> "NetworkBuilder":
        """A local pooling."""
        self._append("pool", self.channels, 1, stride)
        return self

    def squeeze(self, middle: int) -> "NetworkBuilder":
        """Squeeze-and-excite over the current map."""
        channels, size = self.channels, self.size
        self.mean().dense(middle).dense(channels)
        self.size = size
        self._append("scale", channels)
        return self

    def mean(self) -> "NetworkBuilder":
        """Global mean pooling."""
        self._append("pool", self.channels, size=1)
        return self

    def dense(self, out: int) -> "NetworkBuilder":
        """A fully connected layer over the flattened map."""
        self.channels, self.size = self.channels * self.size**2, 1
        self._append("dense", out)
        return self

    def inverted(self, middle: int, out: int, kernel: int, stride: int, *, swish: bool = False, se: int = 0) -> None:
        """MBConv: expand (unless already at `middle`), depthwise, squeeze-and-excite of `se` channels, project."""
        entered = self.channels
        if middle != entered:
            self.conv(middle)
            if swish:
                self.swish()
        self.depthwise(kernel, stride)
        if swish:
            self.swish()
        if se:
            self.squeeze(se)
        self.conv(out)
        if stride == 1 and entered == out:
            self.add()

    def done(self) -> Network:
        """The operators so far."""
        return tuple(self.operators)


def mobilenet_v2(width: float = 1.0, size: int = 224, channels: int = 3, classes: int = 1001) -> Network:
    """MobileNetV2 (arXiv 1801.04381, table 2)."""
    net = NetworkBuilder(channels, size).conv(make_divisible(32 * width), 3, 2)
    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, out, repeats, stride in plan:
        for index in range(repeats):
            net.inverted(net.channels * expand, make_divisible(out * width), 3, stride if index == 0 else 1)
    net.conv(make_divisible(1280 * max(1.0, width)))
    return net.mean().dense(classes).done()


# MnasNet-B1 (torchvision.models.mnasnet1_0): expand, out, repeats, kernel, stride.
_MNASNET = (
    (3, 24, 3, 3, 2),
    (3, 40, 3, 5, 2),
    (6, 80, 3, 5, 2),
    (6, 96, 2, 3, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


def mnasnet(size: int = 224, channels: int = 3, classes: int = 1000) -> Network:
    """MnasNet-B1, without squeeze-and-excite (arXiv 1807.11626; shapes as in torchvision)."""
    net = NetworkBuilder(channels, size).conv(32, 3, 2).depthwise(3).conv(16)
    for expand, out, repeats, kernel, stride in _MNASNET:
        for index in range(repeats):
            net.inverted(net.channels * expand, out, kernel, stride if index == 0 else 1)
    return net.conv(1280).mean().dense(classes).done()


# MobileNetV3 (arXiv 1905.02244, tables 1 and 2): kernel, middle, out, squeeze, hard-swish, stride.
_V3_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_V3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def mobilenet_v3(
    variant: str = "large", width: float = 1.0, size: int = 224, channels: int = 3, classes: int = 1001
) -> Network:
    """MobileNetV3-Large or -Small (arXiv 1905.02244, tables 1 and 2)."""
    rows, feature = (_V3_LARGE, 1280) if variant == "large" else (_V3_SMALL, 1024)
    net = NetworkBuilder(channels, size).conv(make_divisible(16 * width), 3, 2).swish()
    for kernel, middle, out, squeeze, swish, stride in rows:
        wide = make_divisible(middle * width)
        se = make_divisible(wide // 4) if squeeze else 0
        net.inverted(wide, make_divisible(out * width), kernel, stride, swish=swish, se=se)
    net.conv(make_divisible(6 * rows[-1][2] * width)).swish().mean()
    return net.dense(make_divisible(feature * max(1.0, width))).swish().dense(classes).done()
