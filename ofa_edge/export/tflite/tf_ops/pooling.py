"""Pooling, of maps in NHWC. What is outside of the map counts for no maximum, and for a mean as ONNX says."""

from collections.abc import Sequence

import numpy as np

from ofa_edge.export.tflite.tf_ops.convolutions import Pads, pads_of, same
from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value

_LEAST = float(np.finfo(np.float32).min)


def max_pool(site: Site) -> Value:
    """Pads are never the maximum: zeros where nothing is below 0, mirrored pixels of the same window, or the least."""
    kernel, strides = _window(site)
    x = site.image.tensor
    wanted = _whole(site, x.shape[1:3], kernel, strides)
    padding = "VALID"
    if wanted == same(x.shape[1:3], kernel, strides, (1, 1)) and any(map(any, wanted)):
        padding = "SAME"
    elif any(map(any, wanted)):
        edges = [(0, 0), *wanted, (0, 0)]
        if site.source is not None and site.source.op == "Relu":
            x = site.tf.pad(x, edges)  # zeros for XNNPACK, which takes no other padding
        elif all(2 * max(pads) <= taps for pads, taps in zip(wanted, kernel, strict=True)):
            x = site.tf.pad(x, edges, mode="SYMMETRIC")
        else:
            x = site.tf.pad(x, edges, constant_values=_LEAST)
    return Value(site.tf.nn.max_pool2d(x, kernel, strides, padding), IMAGE)


def average_pool(site: Site) -> Value:
    """A mean over the window; where pixels of it do not count, times the share that does."""
    kernel, strides = _window(site)
    x = site.image.tensor
    sizes = [int(size) for size in x.shape[1:3]]
    wanted = _whole(site, sizes, kernel, strides)
    own = pads_of(site, sizes, kernel, strides, (1, 1))
    counted = own if site.attribute("count_include_pad", 0) else ((0, 0), (0, 0))
    if not any(map(any, wanted)):
        return Value(site.tf.nn.avg_pool2d(x, kernel, strides, "VALID"), IMAGE)
    if wanted == same(sizes, kernel, strides, (1, 1)) and not any(map(any, counted)):
        return Value(site.tf.nn.avg_pool2d(x, kernel, strides, "SAME"), IMAGE)
    y = site.tf.nn.avg_pool2d(site.tf.pad(x, [(0, 0), *wanted, (0, 0)]), kernel, strides, "VALID")
    shares = [_shares(*each) for each in zip(sizes, kernel, strides, wanted, counted, strict=True)]
    factor = np.outer(*shares).astype(np.float32)
    if (factor != 1).any():
        y = y * site.tf.constant(factor[None, :, :, None])
    return Value(y, IMAGE)


def global_average_pool(site: Site) -> Value:
    """The mean of each map, signal or volume."""
    return site.like(site.tf.reduce_mean(site.x.tensor, site.x.dims(range(2, site.x.rank)), keepdims=True))


def global_max_pool(site: Site) -> Value:
    """The maximum of each map, signal or volume."""
    return site.like(site.tf.reduce_max(site.x.tensor, site.x.dims(range(2, site.x.rank)), keepdims=True))


def _shares(
    size: int, taps: int, stride: int, pads: tuple[int, int], counted: tuple[int, int]
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """For each window along one axis: its length over the pixels of it that count."""
    first, last = -counted[0], size + counted[1]
    starts = np.arange((size + sum(pads) - taps) // stride + 1) * stride - pads[0]
    inside = np.minimum(starts + taps, last) - np.maximum(starts, first)
    return np.asarray(taps / np.maximum(inside, 1))


def _whole(site: Site, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> Pads:
    """The pads, with what rounding up adds behind: no window may begin there."""
    found = []
    for size, taps, stride, (before, behind) in zip(
        sizes, kernel, strides, pads_of(site, sizes, kernel, strides, (1, 1)), strict=True
    ):
        more = 0
        if site.attribute("ceil_mode", 0):
            windows = -(-(size + before + behind - taps) // stride)
            if windows * stride >= size + before:
                windows -= 1
            more = max(windows * stride + taps - (size + before + behind), 0)
        found.append((before, behind + more))
    return tuple(found)


def _window(site: Site) -> tuple[list[int], list[int]]:
    """Kernel and strides of a pooling node."""
    kernel = list(site.attribute("kernel_shape", ()))
    if len(kernel) != 2 or list(site.attribute("dilations", (1, 1))) != [1, 1]:
        raise site.node.refused("only undilated 2-d pooling is mapped", "pool without dilation")
    return kernel, list(site.attribute("strides", (1, 1)))
