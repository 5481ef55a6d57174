"""Transposed convolutions of maps in NHWC: TensorFlow's without pads, the border cut off."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.tf_ops.convolutions import Pads, biased
from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value


def conv_transpose(site: Site) -> Value:
    """Of any groups, dilations and pads: groups are computed apart, a dilated kernel is written with zeros."""
    x, tf = site.image, site.tf
    if site.weight(1).ndim != 4:
        raise site.node.refused("its weights are not of its input's dimensions", "export it again")
    weight = _dilated(site.weight(1), site.attribute("dilations", (1, 1)))
    strides, more = list(site.attribute("strides", (1, 1))), site.attribute("output_padding", (0, 0))
    sizes = [int(size) for size in x.tensor.shape[1:3]]
    plain = [(size - 1) * stride + taps for size, stride, taps in zip(sizes, strides, weight.shape[2:], strict=True)]
    groups = site.attribute("group", 1)
    kernels = np.split(np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), groups, 3)  # [kH, kW, O, I]
    parts = tf.split(x.tensor, groups, 3) if groups > 1 else [x.tensor]
    found = [
        tf.nn.conv2d_transpose(part, tf.constant(kernel), [part.shape[0], *plain, kernel.shape[2]], strides, "VALID")
        for part, kernel in zip(parts, kernels, strict=True)
    ]
    y = tf.concat(found, 3) if groups > 1 else found[0]
    full = [size + extra for size, extra in zip(plain, more, strict=True)]
    (top, bottom), (left, right) = cut_off(site, sizes, strides, full)
    # Rows behind the last window, which output_padding or a size may ask for, are zeros.
    behind = [extra + max(-pad, 0) for extra, pad in zip(more, (bottom, right), strict=True)]
    if any(behind):
        y = tf.pad(y, [(0, 0), (0, behind[0]), (0, behind[1]), (0, 0)])
    if any(pad > 0 for pad in (top, left, bottom, right)):
        y = y[:, top : full[0] - max(bottom, 0), left : full[1] - max(right, 0), :]
    return Value(biased(site, y), IMAGE)


def cut_off(site: Site, sizes: Sequence[int], strides: Sequence[int], full: Sequence[int]) -> Pads:
    """What of the whole is cut off before and behind each axis; below 0 behind where zeros are added."""
    rank = len(sizes)
    name, wanted = site.text("auto_pad", "NOTSET"), site.attribute("output_shape", None)
    if wanted is None and name == "NOTSET":
        pads = site.attribute("pads", (0, 0) * rank)
        return tuple(zip(pads[:rank], pads[rank:], strict=True))
    if wanted is None and name == "VALID":
        return ((0, 0),) * rank
    if wanted is None:
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    totals = [whole - int(size) for whole, size in zip(full, wanted[-rank:], strict=True)]
    halves = [(max(total, 0) // 2, total - max(total, 0) // 2) for total in totals]
    return tuple(half if name == "SAME_UPPER" or half[1] < 0 else half[::-1] for half in halves)


def _dilated(weight: NDArray[Any], dilations: Any) -> NDArray[Any]:
    """[I, O, kH, kW] with zeros between the taps."""
    if set(dilations) == {1}:
        return weight
    sizes = [(taps - 1) * dilation + 1 for taps, dilation in zip(weight.shape[2:], dilations, strict=True)]
    wide = np.zeros((*weight.shape[:2], *sizes), weight.dtype)
    wide[:, :, :: dilations[0], :: dilations[1]] = weight
    return wide
