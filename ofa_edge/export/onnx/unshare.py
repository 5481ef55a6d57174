"""Steps of quantisation that several nodes share, each with a copy of its own.

Asked for exact sums on a CPU without VNNI, ONNX Runtime turns int8 steps into uint8 ones, node by node, and stops at a
zero point that it has turned already. Simplifying makes such shared ones of equal ones.
"""

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_STEPS = {"QuantizeLinear": (1, 2), "DequantizeLinear": (1, 2)}


def unshare_steps(graph: "onnx.GraphProto") -> None:
    """Give every node its own scale and zero point, in place."""
    tensors = {each.name: each for each in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    for number, node in enumerate(graph.node):
        for place in _STEPS.get(node.op_type, ()):
            if place < len(node.input) and readers[node.input[place]] > 1 and node.input[place] in tensors:
                copy = graph.initializer.add()
                copy.CopyFrom(tensors[node.input[place]])
                readers[node.input[place]] -= 1
                copy.name = node.input[place] = f"{copy.name}/{number}"
