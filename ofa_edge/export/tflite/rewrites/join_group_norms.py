"""Group normalisation that an exporter wrote by reshapes, as one node.

Given::

    r = Reshape(x, [0, groups, -1])              x [1, C, H, W]
    n = InstanceNormalization(r, ones, zeros)
    y = Reshape(n, [1, C, H, W])

Result::

    y = GroupNormalization(x, ones, zeros, num_groups=groups)

The same sums. In NHWC each of the reshapes would move all data. (Wu and He, ECCV 2018.)
"""

from dataclasses import replace

import numpy as np

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node


def join_group_norms(graph: Graph) -> Graph:
    """Join each group normalisation that nothing else reads from between."""
    makers = {node.output: node for node in graph.nodes}
    uses = graph.uses()
    constants = dict(graph.constants)
    joined: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        norm = makers.get(node.inputs[0]) if node.op == "Reshape" else None
        before = makers.get(norm.inputs[0]) if norm is not None and norm.op == "InstanceNormalization" else None
        if norm is None or before is None or before.op != "Reshape" or uses[norm.output] > 1 or uses[before.output] > 1:
            continue
        shape, to = graph.maps.get(before.inputs[0]), graph.constant(before.inputs[1])
        scale, bias = (graph.constant(name) for name in norm.inputs[1:3])
        if shape is None or shape != graph.maps.get(node.output) or to is None or scale is None or bias is None:
            continue
        if to.size != 3 or int(to[0]) not in (0, 1) or to[1] != scale.size or (scale != 1).any() or bias.any():
            continue
        names = (f"{node.output}/ones", f"{node.output}/zeros")
        constants |= {names[0]: np.ones(shape[0], np.float32), names[1]: np.zeros(shape[0], np.float32)}
        facts = {"num_groups": int(to[1]), "epsilon": norm.attributes.get("epsilon", 1e-5)}
        joined[node.output] = Node("GroupNormalization", node.name, (before.inputs[0], *names), node.output, facts)
        gone |= {norm.output, before.output}
    nodes = tuple(joined.get(node.output, node) for node in graph.nodes if node.output not in gone)
    return replace(graph, nodes=nodes, constants=constants) if joined else graph
