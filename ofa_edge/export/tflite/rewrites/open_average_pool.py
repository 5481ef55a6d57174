"""Average pooling for int8, as a depthwise convolution of equal weights.

XNNPACK pools averages in floating point only: a quantised AVERAGE_POOL_2D is left to TFLite's own kernel and cuts the
graph in two. ResNet's shortcuts have one each.

Given::

    y = AveragePool(x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)     x [1, channels, 7, 7]

Result::

    s = Conv(x, w, group=channels, strides=[2, 2], pads=[0, 0, 1, 1])        w [channels, 1, 2, 2], all 1/4
    y = s * m                                                                m [1, 1, 4, 4]: 1, at the far sides 2, 4

The map m, needed where a window reaches over the far side, makes up for the zeros there: exact but for rounding.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS


def open_average_pool(graph: Graph) -> Graph:
    """Open each average pooling without padding of at most 25 taps whose map's shape is known."""
    nodes: list[Node] = []
    constants = dict(graph.constants)
    for node in graph.nodes:
        shape = graph.maps.get(node.inputs[0])
        if node.op != "AveragePool" or shape is None or not _is_plain(node):
            nodes.append(node)
            continue
        channels, *size = shape
        kernel, strides = node.attributes["kernel_shape"], node.attributes.get("strides", (1, 1))
        ceil = bool(node.attributes.get("ceil_mode", 0))
        shares = [_shares(*axis, ceil) for axis in zip(size, kernel, strides, strict=True)]
        weight, summed = f"{node.output}/mean", f"{node.output}/sum"
        constants[weight] = np.full((channels, 1, *kernel), 1 / np.prod(kernel), np.float32)
        over = [
            max((len(share) - 1) * stride + taps - length, 0)
            for share, stride, taps, length in zip(shares, strides, kernel, size, strict=True)
        ]
        attributes = {
            "group": channels,
            "kernel_shape": list(kernel),
            "strides": list(strides),
            "pads": [0, 0, *over],
        }
        whole = all((share == 1).all() for share in shares)
        nodes.append(Node("Conv", node.name, (node.inputs[0], weight), node.output if whole else summed, attributes))
        if not whole:
            factor = f"{node.output}/share"
            constants[factor] = np.outer(*shares)[None, None].astype(np.float32)
            nodes.append(Node("Mul", f"{node.name}/share", (summed, factor), node.output))
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _is_plain(node: Node) -> bool:
    attributes = node.attributes
    return (
        np.prod(attributes["kernel_shape"]) <= MAX_TAPS
        and not any(attributes.get("pads", ()))
        and list(attributes.get("dilations", (1, 1))) == [1, 1]
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    )


def _shares(length: int, taps: int, stride: int, ceil: bool) -> NDArray[np.float64]:
    """Of each window along one axis, its taps divided by those inside the map."""
    count = (-(-(length - taps) // stride) if ceil else (length - taps) // stride) + 1
    inside = np.minimum(taps, length - stride * np.arange(count))
    return np.asarray(taps / inside[inside > 0])
