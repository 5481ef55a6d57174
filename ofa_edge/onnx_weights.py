"""The weights of an ONNX network, in whichever form a file has them: initializers, Constant nodes, or copies of those.

    initializer w          Constant -> w          Constant -> v, Identity or Cast -> w

are the same network; what reads or counts weights is to see no difference.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_COPIES = ("Identity", "Cast")
_OWN_INITIALIZERS = 4  # IR version; in older ones every initializer is an input as well
# Inputs that say how an operator works, not what it weighs with.
_ARGUMENTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "Clip": (1, 2),
        "Pad": (2,),
        "Resize": (1, 2),
        "Upsample": (1,),
        "QuantizeLinear": (1, 2),
        "DequantizeLinear": (1, 2),
        "LSTM": (4, 5, 6),
        "GRU": (4, 5),
        "RNN": (4, 5),
    }
)


def graphs(graph: "onnx.GraphProto") -> "Iterator[onnx.GraphProto]":
    """A graph, and the bodies of branches and loops in it, however deep."""
    import onnx

    yield graph
    for attribute in (each for node in graph.node for each in node.attribute):
        inside = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
        for body in inside:
            yield from graphs(body)


def lift_constants(model: "onnx.ModelProto") -> None:
    """Make initializers of Constant nodes, in place; those of strings, of sparse values and in bodies stay."""
    graph = model.graph
    kept = []
    for node in graph.node:
        tensor = _constant(node)
        if tensor is None:
            kept.append(node)
            continue
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)
        model.ir_version = max(model.ir_version, _OWN_INITIALIZERS)


def count_weights(model: "onnx.ModelProto") -> int:
    """Numbers in the weights: floats and 8-bit integers, each tensor once, whether or not its values were read.

    What nothing reads is not counted, nor are single numbers (a factor that stood in the code), and what says how an
    operator works: bounds, scales of a resize, steps of a quantisation, states that a sequence begins in.
    """
    from onnx import TensorProto

    counted = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
    counted |= {TensorProto.INT8, TensorProto.UINT8}
    sizes: dict[str, int] = defaultdict(int)
    copied: dict[str, str] = {}
    read = set[str]()
    for graph in graphs(model.graph):
        for node in graph.node:
            for place, name in enumerate(node.input):
                if node.op_type in _COPIES and node.output:
                    copied[node.output[0]] = name
                elif place not in _ARGUMENTS.get(node.op_type, ()):
                    read.add(name)
            tensor = _constant(node)
            if tensor is not None and tensor.dims and tensor.data_type in counted:
                sizes[node.output[0]] += prod(tensor.dims)
        for tensor in graph.initializer:
            if tensor.dims and tensor.data_type in counted:
                sizes[tensor.name] += prod(tensor.dims)
        read.update(each.name for each in graph.output)
    for name in tuple(read):
        while name in copied:
            name = copied.pop(name)  # noqa: PLW2901  (popped: copies may go round in a damaged file)
            read.add(name)
    return sum(size for name, size in sizes.items() if name in read)


def stored_types(model: "onnx.ModelProto") -> dict[int, int]:
    """How many numbers the tensors hold, initializers and Constant nodes, by ONNX's number of their type."""
    found: dict[int, int] = defaultdict(int)
    for graph in graphs(model.graph):
        for tensor in (*graph.initializer, *filter(None, map(_constant, graph.node))):
            found[tensor.data_type] += prod(tensor.dims)
    return dict(found)


def _constant(node: "onnx.NodeProto") -> "onnx.TensorProto | None":
    """What a Constant node holds, for tensors the very one; None of other nodes, and where it is no dense number."""
    import numpy as np
    from onnx import AttributeProto, numpy_helper

    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
        return None
    for each in node.attribute:
        if each.name == "value" and each.type == AttributeProto.TENSOR:
            held: onnx.TensorProto = each.t
            return held
        if each.name in ("value_float", "value_floats"):
            return numpy_helper.from_array(np.asarray(each.f if each.name == "value_float" else each.floats, "f4"))
        if each.name in ("value_int", "value_ints"):
            return numpy_helper.from_array(np.asarray(each.i if each.name == "value_int" else each.ints, "i8"))
    return None
