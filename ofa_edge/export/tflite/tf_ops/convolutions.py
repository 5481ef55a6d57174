"""Convolutions, of maps in NHWC."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value

Pads = tuple[tuple[int, int], ...]  # before and behind, of height and width


def conv(site: Site) -> Value:
    """Dense, grouped and depthwise convolutions of two dimensions."""
    weight, x = site.weight(1), site.image
    if weight.ndim != 4:
        raise site.node.refused("only 2-d convolutions are mapped", "write it as one, with a height of 1")
    strides, dilations = list(site.attribute("strides", (1, 1))), list(site.attribute("dilations", (1, 1)))
    groups, channels = site.attribute("group", 1), x.tensor.shape[3]
    pads = pads_of(site, x.tensor.shape[1:3], weight.shape[2:], strides, dilations)
    tensor, padding = padded(site, x.tensor, pads, weight.shape[2:], strides, dilations)
    if groups == channels and weight.shape[1] == 1:
        # [C * multiplier, 1, kH, kW] -> [kH, kW, C, multiplier]. The raw operator: tf.nn's own takes no dilation with
        # a stride, and writes a dilated one as space-to-batch.
        kernel = weight.reshape(channels, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        y = site.tf.raw_ops.DepthwiseConv2dNative(
            input=tensor,
            filter=site.tf.constant(np.ascontiguousarray(kernel)),
            strides=[1, *strides, 1],
            padding=padding,
            dilations=[1, *dilations, 1],
        )
    else:
        kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
        y = site.tf.nn.conv2d(tensor, site.tf.constant(kernel), strides, padding, dilations=dilations)
    return Value(_biased(site, y), IMAGE)


def conv_transpose(site: Site) -> Value:
    """A transposed convolution of one group: TensorFlow's without pads, the border cut off."""
    weight, x = site.weight(1), site.image
    dilations = list(site.attribute("dilations", (1, 1)))
    if (
        weight.ndim != 4
        or site.attribute("group", 1) != 1
        or dilations != [1, 1]
        or "output_shape" in (site.node.attributes)
    ):
        raise site.node.refused("only 2-d, of one group, without dilation and with pads as numbers", "write it so")
    strides, (top, left, bottom, right) = site.attribute("strides", (1, 1)), site.attribute("pads", (0, 0, 0, 0))
    more = site.attribute("output_padding", (0, 0))
    sizes = [int(size) for size in x.tensor.shape[1:3]]
    # Rows behind the last window, which output_padding may ask for, are zeros: a larger output under VALID.
    full = [
        (size - 1) * stride + taps + extra
        for size, stride, taps, extra in zip(sizes, strides, weight.shape[2:], more, strict=True)
    ]
    kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))  # [I, O, kH, kW] -> [kH, kW, O, I]
    plain = [size - extra for size, extra in zip(full, more, strict=True)]
    y = site.tf.nn.conv2d_transpose(
        x.tensor, site.tf.constant(kernel), [1, *plain, kernel.shape[2]], list(strides), "VALID"
    )
    if any(more):
        y = site.tf.pad(y, [(0, 0), (0, more[0]), (0, more[1]), (0, 0)])
    if any((top, left, bottom, right)):
        y = y[:, top : full[0] - bottom, left : full[1] - right, :]
    return Value(_biased(site, y), IMAGE)


def padded(
    site: Site, x: Any, wanted: Pads, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Any, str]:
    """(input, padding) with exactly ONNX's pads.

    TensorFlow's SAME puts the odd pixel of a stride of 2 behind the image, torch puts half the kernel on both sides:
    SAME is used only where the two are equal, otherwise zeros are added by a PAD, which XNNPACK fuses.
    """
    if not any(map(any, wanted)):
        return x, "VALID"
    if wanted == same(x.shape[1:3], kernel, strides, dilations):
        return x, "SAME"
    return site.tf.pad(x, [(0, 0), *wanted, (0, 0)]), "VALID"


def pads_of(
    site: Site, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pads:
    """A node's own pads, by numbers or by name."""
    name = site.text("auto_pad", "NOTSET")
    if name == "VALID":
        return (0, 0), (0, 0)
    if name == "NOTSET":
        top, left, bottom, right = site.attribute("pads", (0, 0, 0, 0))
        return (top, bottom), (left, right)
    found = same(sizes, kernel, strides, dilations)
    return found if name == "SAME_UPPER" else tuple((behind, before) for before, behind in found)


def same(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Pads:
    """The pads of TensorFlow's SAME, which are ONNX's SAME_UPPER."""
    found = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _biased(site: Site, y: Any) -> Any:
    return site.tf.nn.bias_add(y, site.tf.constant(site.weight(2))) if site.given(2) else y
