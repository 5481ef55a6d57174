"""Convolutions of maps in NHWC, and pads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value

Pads = tuple[tuple[int, int], ...]  # before and behind, of each axis


def conv(site: Site) -> Value:
    """Dense, grouped and depthwise convolutions of two dimensions."""
    weight, x = site.weight(1), site.image
    if weight.ndim != 4:
        raise site.node.refused("its weights are not of its input's dimensions", "export it again")
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
    return Value(biased(site, y), IMAGE)


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
        return ((0, 0),) * len(kernel)
    if name == "NOTSET":
        pads = site.attribute("pads", (0, 0) * len(kernel))
        return tuple(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True))
    found = same(sizes, kernel, strides, dilations)
    return found if name == "SAME_UPPER" else tuple((behind, before) for before, behind in found)


def same(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Pads:
    """The pads of TensorFlow's SAME, which are ONNX's SAME_UPPER."""
    found = []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def biased(site: Site, y: Any) -> Any:
    """With the bias of the third input, where there is one."""
    return site.tf.nn.bias_add(y, site.tf.constant(site.weight(2))) if site.given(2) else y
