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

Parts are symmetric about the centre, so that each is padded by a whole number of pixels on both sides. Columns are
split the same way where a pair of rows would not fit: a 1x27 kernel becomes its middle 25 columns and columns 0 and 26
(dilation 26), a 13x13 one is split both ways.

The sum is the same sum in another order: exact but for rounding. Kernels that are even, dilated, not padded by half or
of several outputs a channel stay whole; `ofa-edge inspect` names them in the file.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph, is_plain_depthwise
from ofa_edge.export.onnx.nodes import Node

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
        parts = [_part(node, weight, *taps) for taps in _tap_sets(weight.shape[2], weight.shape[3])]
        constants.update({part.inputs[1]: values for part, values in parts})
        nodes += _summed([part for part, _ in parts], node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _is_splittable(node: Node, weight: NDArray[Any]) -> bool:
    return is_plain_depthwise(node, weight) and weight.shape[2] * weight.shape[3] > MAX_TAPS


def parts_of(kernel: int, size: tuple[int, int]) -> list[tuple[str, list[int], list[int]]]:
    """The parts that a square depthwise kernel padded by half is run in on a map of a height and width.

    Returns:
        For each part the end of its value's name, its rows and columns in the kernel; the one with the centre first.
    """
    (top, height), (left, width) = (_kept(kernel, length) for length in size)
    whole = height * width <= MAX_TAPS
    sets = [(list(range(height)), list(range(width)))] if whole else _tap_sets(height, width)
    return [
        (_tag(rows, columns, width), [top + row for row in rows], [left + each for each in columns])
        for rows, columns in sets
    ]


def _kept(kernel: int, length: int) -> tuple[int, int]:
    """The first tap that `crop_kernels` keeps, and how many, on a map of that length."""
    reach = min(kernel // 2, length - 1)
    return kernel // 2 - reach, 2 * reach + 1


def _tap_sets(height: int, width: int) -> list[tuple[list[int], list[int]]]:
    """(rows, columns) of each part; together they hold each tap once."""
    widest = MAX_TAPS if height == 1 else MAX_TAPS // 2  # two rows of one part at least
    return [
        (rows, columns)
        for columns in _symmetric(width, widest)
        for rows in _symmetric(height, MAX_TAPS // len(columns))
    ]


def _symmetric(length: int, most: int) -> list[list[int]]:
    """Places 0 .. length - 1 in sets of at most `most`: as many around the centre as fit, then pairs about it."""
    centre = length // 2
    reach = min((most - 1) // 2, centre)
    middle = list(range(centre - reach, centre + reach + 1))
    return [middle, *([centre - far, centre + far] for far in range(reach + 1, centre + 1))]


def _part(node: Node, weight: NDArray[Any], rows: list[int], columns: list[int]) -> tuple[Node, NDArray[Any]]:
    """One part and its weights; the part with the centre carries the bias. Pads are the whole's, less what is cut."""
    tag = _tag(rows, columns, weight.shape[3])
    top, left, bottom, right = node.attributes["pads"]
    attributes = {
        **node.attributes,
        "kernel_shape": [len(rows), len(columns)],
        "dilations": [taps[1] - taps[0] if len(taps) > 1 else 1 for taps in (rows, columns)],
        "pads": [top - rows[0], left - columns[0], bottom - rows[0], right - columns[0]],
    }
    is_middle = weight.shape[2] // 2 in rows and weight.shape[3] // 2 in columns
    inputs = (node.inputs[0], f"{node.inputs[1]}/{tag}", *(node.inputs[2:] if is_middle else ()))
    part = Node("Conv", f"{node.name}/{tag}", inputs, f"{node.output}/{tag}", attributes)
    return part, np.ascontiguousarray(weight[:, :, rows][:, :, :, columns])


def _tag(rows: list[int], columns: list[int], width: int) -> str:
    cut = f"columns{columns[0]}to{columns[-1]}" if len(columns) < width else ""
    return f"rows{rows[0]}to{rows[-1]}{cut}"


def _summed(parts: list[Node], whole: Node) -> list[Node]:
    """The parts and the additions that join them; the last addition takes the name of the whole's output."""
    nodes = list(parts)
    total = parts[0].output
    for number, part in enumerate(parts[1:], 1):
        output = whole.output if part is parts[-1] else f"{whole.output}/sum{number}"
        nodes.append(Node("Add", f"{whole.name}/sum{number}", (total, part.output), output))
        total = output
    return nodes
