"""Pooling, of maps in NHWC. What is outside of the map counts for no maximum, and for a mean as ONNX says."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.convolutions import Pads, pads_of, same
from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value

_LEAST = float(np.finfo(np.float32).min)


def max_pool(site: Site) -> Value:
    """Pads are never the maximum: zeros where nothing is below 0, mirrored pixels of the same window, or the least."""
    window = _Window.of(site)
    x, kernel, strides = site.image.tensor, window.kernel, window.strides
    wanted = _whole(site, x.shape[1:3], window)
    padding = "VALID"
    if window.dilated:
        x = site.tf.pad(x, [(0, 0), *wanted, (0, 0)], constant_values=_LEAST) if any(map(any, wanted)) else x
        return Value(_over_taps(x, window, site.tf.maximum), IMAGE)
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
    window = _Window.of(site)
    x, kernel, strides = site.image.tensor, window.kernel, window.strides
    sizes = [int(size) for size in x.shape[1:3]]
    wanted = _whole(site, sizes, window)
    own = pads_of(site, sizes, kernel, strides, window.dilations)
    counted = own if site.attribute("count_include_pad", 0) else ((0, 0), (0, 0))
    padded = any(map(any, wanted))
    if not window.dilated and not padded:
        return Value(site.tf.nn.avg_pool2d(x, kernel, strides, "VALID"), IMAGE)
    if not window.dilated and wanted == same(sizes, kernel, strides, (1, 1)) and not any(map(any, counted)):
        return Value(site.tf.nn.avg_pool2d(x, kernel, strides, "SAME"), IMAGE)
    x = site.tf.pad(x, [(0, 0), *wanted, (0, 0)]) if padded else x
    if window.dilated:
        y = _over_taps(x, window, site.tf.add) * (1.0 / math.prod(kernel))
    else:
        y = site.tf.nn.avg_pool2d(x, kernel, strides, "VALID")
    shares = [_shares(*each) for each in zip(sizes, *window.axes, wanted, counted, strict=True)]
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


def _over_taps(x: Any, window: "_Window", joined: Callable[[Any, Any], Any]) -> Any:
    """Of padded maps, what a dilated window sees: one axis after the other, its taps joined. TFLite's own has none."""
    for dim, (taps, stride, dilation) in enumerate(zip(*window.axes, strict=True), start=1):
        length = (int(x.shape[dim]) - (taps - 1) * dilation - 1) // stride * stride + 1
        cut = [slice(None)] * 4
        seen = []
        for tap in range(taps):
            cut[dim] = slice(tap * dilation, tap * dilation + length, stride)
            seen.append(x[tuple(cut)])
        x = functools.reduce(joined, seen)
    return x


def _shares(
    size: int, taps: int, stride: int, dilation: int, pads: tuple[int, int], counted: tuple[int, int]
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """For each window along one axis: its length over the pixels of it that count."""
    windows = (size + sum(pads) - (taps - 1) * dilation - 1) // stride + 1
    places = np.arange(windows)[:, None] * stride - pads[0] + np.arange(taps) * dilation
    inside = ((places >= -counted[0]) & (places < size + counted[1])).sum(1)
    return np.asarray(taps / np.maximum(inside, 1))


def _whole(site: Site, sizes: Sequence[int], window: "_Window") -> Pads:
    """The pads, with what rounding up adds behind: no window may begin there."""
    found = []
    pads = pads_of(site, sizes, window.kernel, window.strides, window.dilations)
    for size, taps, stride, dilation, (before, behind) in zip(sizes, *window.axes, pads, strict=True):
        more, reach = 0, (taps - 1) * dilation + 1
        if site.attribute("ceil_mode", 0):
            windows = -(-(size + before + behind - reach) // stride)
            if windows * stride >= size + before:
                windows -= 1
            more = max(windows * stride + reach - (size + before + behind), 0)
        found.append((before, behind + more))
    return tuple(found)


@dataclass(frozen=True)
class _Window:
    """What a pooling node sees, of height and width."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]

    @classmethod
    def of(cls, site: Site) -> "_Window":
        kernel = list(site.attribute("kernel_shape", ()))
        if len(kernel) != 2:
            raise site.node.refused(f"its window has {len(kernel)} dimensions, its input 2", "export it again")
        return cls(kernel, *(list(site.attribute(name, (1, 1))) for name in ("strides", "dilations")))

    @property
    def dilated(self) -> bool:
        return self.dilations != [1, 1]

    @property
    def axes(self) -> tuple[list[int], list[int], list[int]]:
        """Taps, strides and dilations of each axis."""
        return self.kernel, self.strides, self.dilations
