"""ONNX models from text, and graphs back to ONNX: what the tests of the graph's rewrites and of the map need."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ofa_edge.export.onnx.graph import Graph


def save_model(path: Path, body: str, shape: tuple[int, ...], seed: int = 0, opset: int = 17, **weights) -> Path:
    """Write a model with input `input` of `shape` and output `logits`.

    Args:
        path: the file.
        body: nodes in ONNX's textual syntax; each value named in `weights` is an initializer.
        shape: of the input.
        seed: of the random weights.
        opset: of ONNX.
        weights: by name; a tuple of sizes stands for random numbers, an array for itself.
    """
    random = np.random.default_rng(seed)
    header = f'<ir_version: 8, opset_import: ["" : {opset}]> main (float input) => (float logits)'
    model = onnx.parser.parse_model(f"{header} {{ {body} }}")
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, shape))
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    for name, value in weights.items():
        array = random.normal(size=value).astype(np.float32) if isinstance(value, tuple) else value
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def save_graph(path: Path, graph: Graph, opset: int = 17) -> Path:
    """Write a graph as ONNX again, so that ONNX Runtime can say what it computes."""
    nodes = [
        helper.make_node(node.op, node.inputs, [node.output], node.name, **node.attributes) for node in graph.nodes
    ]
    source = helper.make_tensor_value_info(graph.input, TensorProto.FLOAT, graph.input_shape)
    sink = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    used = {name for node in graph.nodes for name in node.inputs}
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items() if name in used]
    (output,) = graph.outputs
    if output != "logits":
        nodes.append(helper.make_node("Identity", [output], ["logits"]))
    proto = helper.make_graph(nodes, "main", [source], [sink], constants)
    onnx.save(helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path
