"""Depthwise kernels larger than the map they run on, cut down to the taps that ever meet a pixel.

On a 3x3 map the outer ring of a 7x7 kernel reads padding only. Split into parts (see `split_depthwise`) such rows would
be a branch whose answer is always 0, from which int8 calibration takes a scale near 0 that XNNPACK does not survive.

Given::

    y = Conv(x, w, b, group=channels)            x [1, channels, 3, 3], w [channels, 1, 7, 7], pads 3

Result::

    y = Conv(x, w[1:6, 1:6], b, group=channels)  w [channels, 1, 5, 5], pads 2

Exact: what is dropped was multiplied with zeros.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph, is_plain_depthwise
from ofa_edge.export.onnx.nodes import Node


def crop_kernels(graph: Graph) -> Graph:
    """Crop each undilated depthwise convolution that is padded by half and reaches past the far side of its map."""
    nodes: list[Node] = []
    constants = dict(graph.constants)
    for node in graph.nodes:
        weight = graph.constant(node.inputs[1]) if node.op == "Conv" else None
        shape = graph.maps.get(node.inputs[0])
        if weight is None or shape is None or not is_plain_depthwise(node, weight):
            nodes.append(node)
            continue
        reach = [min(kernel // 2, length - 1) for kernel, length in zip(weight.shape[2:], shape[1:], strict=True)]
        if reach == [weight.shape[2] // 2, weight.shape[3] // 2]:
            nodes.append(node)
            continue
        name = f"{node.output}/cropped"  # the same weights may be used on maps of several sizes
        constants[name] = _centre(weight, reach)
        attributes = {**node.attributes, "kernel_shape": [2 * each + 1 for each in reach], "pads": reach * 2}
        nodes.append(replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]), attributes=attributes))
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _centre(weight: NDArray[Any], reach: list[int]) -> NDArray[Any]:
    rows, columns = (
        slice(kernel // 2 - each, kernel // 2 + each + 1) for kernel, each in zip(weight.shape[2:], reach, strict=True)
    )
    return np.ascontiguousarray(weight[:, :, rows, columns])
