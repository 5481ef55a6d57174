"""Nodes of constants alone, computed once, while the file is read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

_LEFT = frozenset({"QuantizeLinear", "DequantizeLinear"})  # integers are to stay integers


def folded(
    model: "onnx.ModelProto", node: "onnx.NodeProto", constants: Mapping[str, NDArray[Any]]
) -> NDArray[Any] | None:
    """What a node gives by ONNX's own reference; None where an input is computed, or the reference does not take it."""
    names = [name for name in node.input if name]
    if len(node.output) != 1 or not names or node.op_type in _LEFT or not all(name in constants for name in names):
        return None
    if node.op_type == "Identity":
        return constants[names[0]]
    return reference(model, node, {name: constants[name] for name in names})


def reference(
    model: "onnx.ModelProto", node: "onnx.NodeProto", values: Mapping[str, NDArray[Any]]
) -> NDArray[Any] | None:
    """What a node of one output gives by ONNX's own reference, in the types of its inputs' values; None if nothing."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    make = onnx.helper
    kinds = [(name, make.np_dtype_to_tensor_dtype(value.dtype)) for name, value in values.items()]
    inputs = [make.make_tensor_value_info(name, kind, values[name].shape) for name, kind in kinds]
    graph = make.make_graph([node], "constants", inputs, [onnx.ValueInfoProto(name=node.output[0])])
    alone = make.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        (value,) = ReferenceEvaluator(alone).run(None, dict(values))
    except MemoryError:  # says nothing about the node: without room another file would be made
        raise
    except Exception:  # whatever the reference has no function for: the node stays
        return None
    return np.asarray(value)
