"""Depthwise convolutions with large kernels, as sums of small ones.

XNNPACK has depthwise kernels for at most 25 taps; a 7x7 one (49 taps) is still delegated, so that no log warns, and
runs several times slower than it should.

Given::

    y = Conv(x, w, b, group=channels)            w [channels, 1, 7, 7], pads 3

Result::

    y0 = Conv(x, w[rows 2 3 4], b, dilations=[1, 1], pads=[1, 3, 1, 3])      21 taps
    y1 = Conv(x, w[rows 1 5],      dilations=[4, 1], pads=[2, 3, 2, 3])      14 taps
    y2 = Conv(x, w[rows 0 6],      dilations=[6, 1], pads=[3, 3, 3, 3])      14 taps
    y  = Add(Add(y0, y1), y2)

The sum is the same sum in another order: exact but for rounding.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.graph import Graph, Node, is_plain_depthwise

MAX_TAPS = 25
"""Taps of XNNPACK's largest depthwise kernel (LiteRT 2.3)."""


def split_depthwise(graph: Graph) -> Graph:
    """Split each depthwise convolution of more than 25 taps whose kernel is odd, undilated and padded by half."""
    nodes: list[Node] = []
    constants = dict(graph.constants)
    for node in graph.nodes:
        weight = graph.constant(node.inputs[1]) if node.op == "Conv" else None
        if weight is None or not _is_splittable(node, weight):
            nodes.append(node)
            continue
        parts = [_part(node, weight, rows) for rows in _row_sets(weight.shape[2], weight.shape[3])]
        constants.update({part.inputs[1]: values for part, values in parts})
        nodes += _summed([part for part, _ in parts], node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _is_splittable(node: Node, weight: NDArray[Any]) -> bool:
    height, width = weight.shape[2:]
    return is_plain_depthwise(node, weight) and height * width > MAX_TAPS and 2 * width <= MAX_TAPS


def _row_sets(height: int, width: int) -> list[list[int]]:
    """The rows of each part: as many around the centre as fit, then pairs at equal distance from it."""
    centre, fit = height // 2, MAX_TAPS // width
    reach = (fit - 1) // 2
    middle = list(range(centre - reach, centre + reach + 1))
    return [middle, *([centre - far, centre + far] for far in range(reach + 1, centre + 1))]


def _part(node: Node, weight: NDArray[Any], rows: list[int]) -> tuple[Node, NDArray[Any]]:
    """One part and its weights; the first part (the one with the centre row) carries the bias."""
    first, last = rows[0], rows[-1]
    top, left, bottom, right = node.attributes["pads"]
    tag = f"rows{first}to{last}"
    attributes = {
        **node.attributes,
        "kernel_shape": [len(rows), weight.shape[3]],
        "dilations": [rows[1] - first if len(rows) > 1 else 1, 1],
        "pads": [top - first, left, bottom - (weight.shape[2] - 1 - last), right],
    }
    bias = node.inputs[2:] if weight.shape[2] // 2 in rows else ()
    inputs = (node.inputs[0], f"{node.inputs[1]}/{tag}", *bias)
    part = Node("Conv", f"{node.name}/{tag}", inputs, f"{node.output}/{tag}", attributes)
    return part, np.ascontiguousarray(weight[:, :, rows])


def _summed(parts: list[Node], whole: Node) -> list[Node]:
    """The parts and the additions that join them; the last addition takes the name of the whole's output."""
    nodes = list(parts)
    total = parts[0].output
    for number, part in enumerate(parts[1:], 1):
        output = whole.output if part is parts[-1] else f"{whole.output}/sum{number}"
        nodes.append(Node("Add", f"{whole.name}/sum{number}", (total, part.output), output))
        total = output
    return nodes
