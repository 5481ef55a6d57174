"""Hard sigmoid and hard swish in terms of ReLU6, their factor 1/6 apart, so that `sink_scales` can fold it away.

Given::

    y = HardSigmoid(x, alpha=1/6, beta=1/2)      y = HardSwish(x)

Result::

    t = Clip(x + 3, 0, 6)                        t = Clip(x + 3, 0, 6) * x
    y = t * (1/6)                                y = t * (1/6)

(MobileNetV3, Howard et al., ICCV 2019, section 5.2.)
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node

_THREE, _ZERO, _SIX, _SIXTH = "hard/3", "hard/0", "hard/6", "hard/one sixth"


def open_hard_sigmoid(graph: Graph) -> Graph:
    """Open each HardSigmoid of slope 1/6 (torch's); others stay."""
    return _open(graph, is_torch_hard_sigmoid, gated=False)


def open_hard_swish(graph: Graph) -> Graph:
    """Open each HardSwish."""
    return _open(graph, lambda node: node.op == "HardSwish", gated=True)


def clip_hard_sigmoid(graph: Graph) -> Graph:
    """Cut each HardSigmoid's input before its line, for networks that are given quantised.

    The converter would fold the line into the layer before it, and that layer's own rounding could not be kept.

    Given::

        y = HardSigmoid(x, alpha=a, beta=b)

    Result::

        y = Clip(x, -b / a, (1 - b) / a) * a + b
    """
    nodes: list[Node] = []
    constants = dict(graph.constants)
    for node in graph.nodes:
        slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
        if node.op != "HardSigmoid" or slope <= 0:
            nodes.append(node)
            continue
        x, y = node.inputs[0], node.output
        numbers = {"low": -offset / slope, "high": (1 - offset) / slope, "slope": slope, "offset": offset}
        constants.update({f"{y}/{name}": np.asarray(value, np.float32) for name, value in numbers.items()})
        nodes += [
            Node("Clip", f"{node.name}/clip", (x, f"{y}/low", f"{y}/high"), f"{y}/clipped"),
            Node("Mul", f"{node.name}/slope", (f"{y}/clipped", f"{y}/slope"), f"{y}/sloped"),
            Node("Add", node.name, (f"{y}/sloped", f"{y}/offset"), y),
        ]
    return replace(graph, nodes=tuple(nodes), constants=constants)


def is_torch_hard_sigmoid(node: Node) -> bool:
    """Whether it is a HardSigmoid of slope 1/6, as torch defines it."""
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    return node.op == "HardSigmoid" and abs(slope - 1 / 6) < 1e-6 and offset == 0.5


def _open(graph: Graph, matches: Callable[[Node], bool], gated: bool) -> Graph:
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += _opened(node, gated) if matches(node) else [node]
    scalars = {_THREE: 3.0, _ZERO: 0.0, _SIX: 6.0, _SIXTH: 1 / 6}
    constants = {name: np.asarray(value, np.float32) for name, value in scalars.items()}
    return replace(graph, nodes=tuple(nodes), constants={**graph.constants, **constants})


def _opened(node: Node, gated: bool) -> list[Node]:
    x, y = node.inputs[0], node.output
    shifted, gate, product = f"{y}/shifted", f"{y}/gate", f"{y}/product"
    nodes = [
        Node("Add", f"{node.name}/shift", (x, _THREE), shifted),
        Node("Clip", f"{node.name}/clip", (shifted, _ZERO, _SIX), gate),
    ]
    if gated:
        nodes.append(Node("Mul", f"{node.name}/gate", (x, gate), product))
    return [*nodes, Node("Mul", f"{node.name}/scale", (product if gated else gate, _SIXTH), y)]
