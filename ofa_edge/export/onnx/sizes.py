"""What of an ONNX file depends on the values that go in, and what on their sizes alone: simplifying works that out."""

from typing import TYPE_CHECKING

from ofa_edge.onnx_weights import graphs

if TYPE_CHECKING:
    import onnx

ASK_SIZES = ("Shape", "Size")
"""Operators that read no values."""
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def by_values(model: "onnx.ModelProto") -> set[str]:
    """Names of the values that depend on what goes in, or on chance; all others follow from sizes and constants.

    Args:
        model: with its nodes in order.
    """
    graph = model.graph
    found = {each.name for each in graph.input} - {each.name for each in graph.initializer}
    for node in graph.node:
        bodies = [body for each in node.attribute for body in (each.g, *each.graphs)]
        inside = [inner for body in bodies for each in graphs(body) for inner in each.node]
        if any(each.op_type in _RANDOM or not found.isdisjoint(_read(each)) for each in (node, *inside)):
            found.update(node.output)
    return found


def _read(node: "onnx.NodeProto") -> list[str]:
    return [] if node.op_type in ASK_SIZES else list(node.input)
