"""Operators of maps on volumes: [N, C, D, H, W] is a batch of maps along one axis.

A convolution, transposed or not, is the sum, over its taps along that axis, of convolutions of maps; a pooling takes
one axis after the others. So every kernel of maps serves, also int8 and grouped ones, which TFLite's own CONV_3D is
without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.tf_ops.convolutions import Pads, biased, pads_of
from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.transposed import cut_off
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Axes, Value, ordered

_PER_AXIS = ("kernel_shape", "strides", "dilations", "output_padding")


def conv_of_volumes_too(builder: Builder) -> Builder:
    """A convolution of maps that takes volumes as well: the axis with the fewest taps is summed over."""

    def build(site: Site) -> Value:
        if site.x.rank != 5:
            return builder(site)
        weight = site.weight(1)
        if weight.ndim != 5:
            raise site.node.refused(f"its weights have {weight.ndim} dimensions, its input 5", "export it again")
        along = int(np.argmin(weight.shape[2:]))
        taps = weight.shape[2 + along]
        stride, dilation = (int(site.attribute(name, (1, 1, 1))[along]) for name in ("strides", "dilations"))
        size = site.x.shape[2 + along]
        pads = _pads(site, weight.shape[2:])
        line = _line(site, along, pads[along])  # [N, axis, a, b, C], padded along the axis
        count = (size + sum(pads[along]) - (taps - 1) * dilation - 1) // stride + 1
        node = _of_maps(site, along, pads)
        total = None
        for tap in range(taps):
            begin = tap * dilation
            maps = line[:, begin : begin + (count - 1) * stride + 1 : stride]
            bias = site.args[2:] if tap == 0 else ()
            maps = site.tf.reshape(maps, [-1, *maps.shape[2:]])
            y = _built(builder, site, maps, node, weight.take(tap, 2 + along), *bias)
            total = y if total is None else total + y
        return _volume(site, total, along, count)

    return build


def transposed_of_volumes_too(builder: Builder) -> Builder:
    """A transposed convolution of maps that takes volumes as well.

    What the taps along depth give lies one stride apart: those of one phase are added, phases are interleaved.
    """

    def build(site: Site) -> Value:
        if site.x.rank != 5:
            return builder(site)
        weight, sizes = site.weight(1), site.x.shape[2:]
        if weight.ndim != 5:
            raise site.node.refused(f"its weights have {weight.ndim} dimensions, its input 5", "export it again")
        strides, dilations, more = (
            [int(each) for each in site.attribute(name, (default,) * 3)]
            for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
        )
        reach = [(taps - 1) * dilation + 1 for taps, dilation in zip(weight.shape[2:], dilations, strict=True)]
        whole = [(size - 1) * stride + each for size, stride, each in zip(sizes, strides, reach, strict=True)]
        pads = cut_off(site, sizes, strides, [size + extra for size, extra in zip(whole, more, strict=True)])
        line = _line(site, 0, (0, 0))
        maps = site.tf.reshape(line, [-1, *line.shape[2:]])
        node = _of_maps(site, 0, pads, without=("output_shape",))
        each = [_built(builder, site, maps, node, weight[:, :, tap]) for tap in range(weight.shape[2])]
        each = [site.tf.reshape(y, [-1, sizes[0], *y.shape[1:]]) for y in each]
        y = _interleaved(site, each, strides[0], dilations[0])
        y = _cut(site, y, whole[0] + more[0], pads[0])
        count = int(y.shape[1])
        return _volume(site, biased(site, site.tf.reshape(y, [-1, *y.shape[2:]])), 0, count)

    return build


def _interleaved(site: Site, taps: Sequence[Any], stride: int, dilation: int) -> Any:
    """Of each tap [N, D, a, b, M]: tap t of place d is added at d * stride + t * dilation."""
    depth = int(taps[0].shape[1])
    length = depth + (len(taps) - 1) * dilation // stride
    phases: list[Any] = [None] * stride
    for tap, y in enumerate(taps):
        skip, phase = divmod(tap * dilation, stride)
        moved = site.tf.pad(y, [(0, 0), (skip, length - depth - skip), *[(0, 0)] * 3]) if length > depth else y
        phases[phase] = moved if phases[phase] is None else phases[phase] + moved
    nothing = site.tf.zeros([int(taps[0].shape[0]), length, *taps[0].shape[2:]])
    shape = [-1, length, 1, *taps[0].shape[2:4], taps[0].shape[4]]
    apart = [site.tf.reshape(nothing if each is None else each, shape) for each in phases]
    whole = site.tf.concat(apart, 2) if stride > 1 else apart[0]
    return site.tf.reshape(whole, [-1, length * stride, *taps[0].shape[2:]])


def _cut(site: Site, y: Any, size: int, pads: tuple[int, int]) -> Any:
    """The part of the depth between what is cut off; zeros where it is longer."""
    end = size - pads[1]
    if end > int(y.shape[1]):
        y = site.tf.pad(y, [(0, 0), (0, end - int(y.shape[1])), *[(0, 0)] * 3])
    return y[:, pads[0] : end]


def pool_of_volumes_too(builder: Builder) -> Builder:
    """A maximum or a mean of maps that takes volumes as well: of height and width, then of depth."""

    def build(site: Site) -> Value:
        if site.x.rank != 5:
            return builder(site)
        kernel = site.attribute("kernel_shape", ())
        pads = _pads(site, kernel)
        line = _line(site, 0, (0, 0))
        inner = _built(builder, site, site.tf.reshape(line, [-1, *line.shape[2:]]), _of_maps(site, 0, pads))
        depth, (rows, columns, channels) = site.x.shape[2], inner.shape[1:]
        flat = site.tf.reshape(inner, [-1, depth, rows * columns, channels])
        y = _built(builder, site, flat, _of_depth(site, pads[0]))
        count = int(y.shape[1])
        return _volume(site, site.tf.reshape(y, [-1, rows, columns, channels]), 0, count)

    return build


def _built(builder: Builder, site: Site, maps: Any, node: Node, *weights: Any) -> Any:
    """What a function of maps makes of them, in NHWC."""
    y = builder(Site(site.tf, node, (Value(maps, IMAGE), *weights), site.source))
    return ordered(site.tf, y, IMAGE).tensor


def _pads(site: Site, kernel: Sequence[int]) -> Pads:
    """Before and behind, of depth, height and width."""
    ones = (1,) * len(kernel)
    strides, dilations = site.attribute("strides", ones), site.attribute("dilations", ones)
    return pads_of(site, site.x.shape[2:], kernel, strides, dilations)


def _line(site: Site, along: int, pads: tuple[int, int]) -> Any:
    """[N, axis, a, b, C], with zeros before and behind along the axis."""
    tensor = ordered(site.tf, site.x, _axes(along)).tensor
    return site.tf.pad(tensor, [(0, 0), pads, *[(0, 0)] * 3]) if any(pads) else tensor


def _of_maps(site: Site, along: int, pads: Pads, without: Sequence[str] = ()) -> Node:
    """The node as one of maps: without the axis, nor what the pads say already."""
    left = [axis for axis in range(3) if axis != along]
    own = {name: tuple(site.node.attributes[name][axis] for axis in left) for name in _given(site)}
    own["pads"] = tuple(pads[axis][end] for end in (0, 1) for axis in left)
    return _changed(site, own, without)


def _of_depth(site: Site, pads: tuple[int, int]) -> Node:
    """The node as one of maps whose height is the depth, and whose width it does not see."""
    own = {name: (site.node.attributes[name][0], 1) for name in _given(site)}
    return _changed(site, {**own, "pads": (pads[0], 0, pads[1], 0)})


def _given(site: Site) -> list[str]:
    return [name for name in _PER_AXIS if name in site.node.attributes]


def _changed(site: Site, own: Mapping[str, Any], without: Sequence[str] = ()) -> Node:
    kept = {name: value for name, value in site.node.attributes.items() if name not in ("auto_pad", *without)}
    return replace(site.node, attributes={**kept, **own})


def _volume(site: Site, maps: Any, along: int, count: int) -> Value:
    """Maps [N * count, a, b, M] as a volume again."""
    return Value(site.tf.reshape(maps, [-1, count, *maps.shape[1:]]), _axes(along))


def _axes(along: int) -> Axes:
    """Of a volume as a batch of maps along one axis."""
    return (0, 2 + along, *(2 + axis for axis in range(3) if axis != along), 1)
