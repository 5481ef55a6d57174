"""The rules that widths and sizes follow. Supernet, search and cost models all take them from here."""


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round `value` to a multiple of `divisor`, never below 90 % of it (MobileNet's rule): 11 -> 16, 36 -> 40."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def middle_width(channels: int, expand: float) -> int:
    """Channels inside a block: `expand` times its input width (MBConv) or its output width (bottleneck)."""
    return make_divisible(round(channels * expand))


def squeeze_width(channels: int) -> int:
    """Channels between the two layers of a squeeze-and-excite module over `channels`."""
    return make_divisible(channels // 4)


def output_size(size: int, stride: int) -> int:
    """Spatial size after a convolution with padding k//2, and after pooling with a remainder kept."""
    return (size - 1) // stride + 1
