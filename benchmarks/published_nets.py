"""Well-known networks as lists of operators, to fit and to check latency models against published measurements.

Each function returns the operators of one inference, batch 1, BN folded, activations fused except hard-swish. Shapes
follow the papers and the reference implementations named in the docstrings. Padding is "same" throughout.
"""

import math
from collections.abc import Callable, Sequence

from ofa_edge.cost.well_known import Network, NetworkBuilder
from ofa_edge.space import make_divisible, output_size


def mobilenet_v1(width: float = 1.0, size: int = 224) -> Network:
    """MobileNet (arXiv 1704.04861, table 1)."""
    net = NetworkBuilder(3, size).conv(max(8, int(32 * width)), 3, 2)
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    for out, stride in plan:
        net.depthwise(3, stride).conv(max(8, int(out * width)))
    return net.mean().dense(1001).done()


def _branch(net: NetworkBuilder, *outs: tuple[int, int], channels: int, size: int) -> None:
    for out, kernel in outs:
        net.channels, net.size = channels, size
        net.conv(out, kernel)


def squeezenet(version: str = "1.0", size: int = 224) -> Network:
    """SqueezeNet 1.0 and 1.1 (arXiv 1602.07360, table 1; DeepScale/SqueezeNet for 1.1)."""
    first = version == "1.0"
    net = NetworkBuilder(3, size)
    net.conv(96 if first else 64, 7 if first else 3, 2).pool()
    pools = (4, 8) if first else (3, 5)
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        net.conv(squeeze)
        side = net.size
        _branch(net, (squeeze * 4, 1), (squeeze * 4, 3), channels=squeeze, size=side)
        net.channels = squeeze * 8  # concatenated
        if index in pools:
            net.pool()
    return net.conv(1000).mean().done()


def resnet(depth: int, size: int = 224) -> Network:
    """ResNet-18 to -152 (arXiv 1512.03385, table 1; stride on the 3x3 as in torchvision)."""
    plans = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
    net = NetworkBuilder(3, size).conv(64, 7, 2).pool()
    for stage, repeats in enumerate(plans[depth]):
        width = 64 * 2**stage
        out = width if depth < 50 else 4 * width
        for index in range(repeats):
            stride = 2 if stage and index == 0 else 1
            entered, side = net.channels, net.size
            if depth < 50:
                net.conv(width, 3, stride).conv(width, 3)
            else:
                net.conv(width).conv(width, 3, stride).conv(out)
            if entered != out:
                after = net.size
                net.channels, net.size = entered, side
                net.conv(out, 1, stride)
                net.size = after
            net.add()
    return net.mean().dense(1000).done()


def densenet(depth: int, size: int = 224) -> Network:
    """DenseNet-121, -169, -201 (growth 32) and -161 (growth 48) (arXiv 1608.06993, table 1)."""
    plans = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
    growth = 48 if depth == 161 else 32
    net = NetworkBuilder(3, size).conv(2 * growth, 7, 2).pool()
    for stage, layers in enumerate(plans[depth]):
        for _ in range(layers):
            entered = net.channels
            net.add()  # BN and ReLU before the convolution cannot be folded into one behind it
            net.conv(4 * growth).conv(growth, 3)
            net.channels = entered + growth
        if stage < 3:
            net.add().conv(net.channels // 2).pool()
    return net.add().mean().dense(1000).done()


def vgg(depth: int, size: int = 224) -> Network:
    """VGG-11, -13, -16, -19 (arXiv 1409.1556, table 1)."""
    plans = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
    net = NetworkBuilder(3, size)
    for repeats, width in zip(plans[depth], (64, 128, 256, 512, 512), strict=True):
        for _ in range(repeats):
            net.conv(width, 3)
        net.pool()
    return net.dense(4096).dense(4096).dense(1000).done()


def nasbench201(architecture: str, classes: int = 10) -> Network:
    """A NAS-Bench-201 network on 32x32 images (arXiv 2001.00326) from its string, |op~from|+|op~from|op~from|+|...|."""
    nodes = [[edge.split("~") for edge in node.strip("|").split("|")] for node in architecture.split("+")]
    net = NetworkBuilder(3, 32).conv(16, 3)
    for stage, width in enumerate((16, 32, 64)):
        if stage:  # a residual block of stride 2: two 3x3, and a pooled 1x1 beside them
            entered, side = net.channels, net.size
            net.conv(width, 3, 2).conv(width, 3)
            net.channels, net.size = entered, side
            net.pool().conv(width).add()
        for _ in range(5):
            _cell(net, nodes)
    return net.mean().dense(classes).done()


def _cell(net: NetworkBuilder, nodes: Sequence[Sequence[Sequence[str]]]) -> None:
    """What is computed: converters leave out what no node uses, and what comes of nothing."""
    edges: dict[str, Callable[[], object]] = {
        "nor_conv_3x3": lambda: net.conv(net.channels, 3),
        "nor_conv_1x1": lambda: net.conv(net.channels),
        "avg_pool_3x3": lambda: net.pool(1),
    }
    entered, used = {0}, {len(nodes)}
    for number, node in enumerate(nodes, 1):
        if any(operation != "none" and int(source) in entered for operation, source in node):
            entered.add(number)
    for number in range(len(nodes), 0, -1):
        if number in used:
            used |= {int(source) for operation, source in nodes[number - 1] if operation != "none"}
    for number, node in enumerate(nodes, 1):
        told = [operation for operation, source in node if operation != "none" and int(source) in entered]
        if number not in used or not told:
            continue
        for operation in told:
            if operation in edges:
                edges[operation]()
        for _ in told[1:]:
            net.add()


# EfficientNet-Lite (tensorflow/tpu models/official/efficientnet/lite): expand, out, repeats, kernel, stride.
_LITE = ((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1))
_LITE += ((6, 192, 4, 5, 2), (6, 320, 1, 3, 1))
# EfficientDet-Lite (google/automl efficientdet/hparams_config.py): width and depth of the backbone, input, channels and
# repeats of the feature pyramid, repeats of the heads, anchors a place.
_DETECTORS = {
    "0": (1.0, 1.0, 320, 64, 3, 3),
    "1": (1.0, 1.1, 384, 88, 4, 3),
    "2": (1.1, 1.2, 448, 112, 5, 3),
    "3": (1.2, 1.4, 512, 160, 6, 4),
    "3x": (1.2, 1.4, 640, 200, 6, 4),
    "4": (1.4, 1.8, 640, 224, 7, 4),
}


def efficientdet_lite(version: str) -> Network:
    """EfficientDet-Lite0 to -Lite4 of COCO (arXiv 1911.09070; google/automl): backbone, BiFPN by sums, both heads."""
    width, depth, size, channels, cells, deep = _DETECTORS[version]
    net = NetworkBuilder(3, size).conv(32, 3, 2)
    maps: list[tuple[int, int]] = []  # channels and size
    for index, (expand, out, repeats, kernel, stride) in enumerate(_LITE):
        ends = index in (0, len(_LITE) - 1)
        if stride == 2:
            maps.append((net.channels, net.size))
        for block in range(repeats if ends else math.ceil(depth * repeats)):
            net.inverted(net.channels * expand, make_divisible(out * width), kernel, stride if block == 0 else 1)
    maps = [*maps[2:], (net.channels, net.size)]
    _pyramid(net, maps, channels, cells)
    sizes = [maps[0][1]]
    for _ in range(4):
        sizes.append(output_size(sizes[-1], 2))
    for out in (90 * 9, 4 * 9):
        for side in sizes:
            net.channels, net.size = channels, side
            for _ in range(deep):
                net.depthwise(3).conv(channels)
            net.depthwise(3).conv(out)
    return net.done()


def _pyramid(net: NetworkBuilder, maps: Sequence[tuple[int, int]], channels: int, cells: int) -> None:
    """BiFPN: inputs of three sizes, two more by pooling; each cell goes down and up once, summing two or three maps."""
    sides = [side for _, side in maps]
    for source, side in (*maps, *maps[1:]):  # the second and third input of the first cell are projected twice
        net.channels, net.size = source, side
        net.conv(channels)
    net.channels, net.size = maps[-1]
    net.conv(channels).pool().pool()
    sides += [output_size(sides[-1], 2), output_size(output_size(sides[-1], 2), 2)]
    for _ in range(cells):
        for level in (3, 2, 1, 0):  # down: the smaller map resized, added
            net.channels, net.size = channels, sides[level]
            net.add().depthwise(3).conv(channels)
        for level in (1, 2, 3, 4):  # up: the larger map pooled, added, and the input once more
            net.channels, net.size = channels, sides[level - 1]
            net.pool()
            net.add()
            if level < 4:
                net.add()
            net.depthwise(3).conv(channels)
