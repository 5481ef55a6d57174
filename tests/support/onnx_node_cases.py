"""ONNX's own tests of single operators, run through the map to TensorFlow: `python onnx_node_cases.py OUT.json`.

Eagerly, all in one process. What a model reads besides its first input is a constant, as weights and axes are in a
network, but for operators of several equal inputs. Taken are the tests of operators of the map whose input and output
are float32.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph, read_nodes
from ofa_edge.export.onnx.recurrent import RECURRENT
from ofa_edge.export.tflite.tf_ops import BUILDERS, build_nodes
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered, plain

EQUALS = {"Add", "Concat", "Div", "Einsum", "MatMul", "Max", "Mean", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum"}


def is_ours(model):
    """Whether the map has its operator, in float32."""
    node = model.graph.node[0]
    values = [*model.graph.input, *model.graph.output]
    kinds = [value.type.WhichOneof("value") for value in values]
    if (
        len(model.graph.node) != 1
        or node.domain
        or node.op_type not in {*BUILDERS, *RECURRENT, "Split"}
        or set(kinds) != {"tensor_type"}
    ):
        return False
    first, last = model.graph.input[0] if model.graph.input else None, model.graph.output[0]
    return first is not None and all(v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for v in (first, last))


def outcome(case, model):
    """Empty where the map gives the test's answer, else why not. Of several outputs the first alone is read."""
    if model.graph.node[0].op_type != "Split":
        del model.graph.output[1:]
    ((given, wanted),) = case.data_sets
    names = [each.name for each in model.graph.input]
    equal = model.graph.node[0].op_type in EQUALS
    values, shapes = {}, {}
    for at, (name, array) in enumerate(zip(names, given, strict=True)):
        if at == 0 or (equal and array.dtype == np.float32):
            axes = IMAGE if array.ndim == 4 else plain(array.ndim)
            values[name] = Value(tf.constant(array.transpose(axes)), axes)
            shapes[name] = array.shape
        else:
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    try:
        nodes, constants = read_nodes(model, shapes)
        found = build_nodes(tf, Graph(nodes, constants, "", "", (1, 1, 1, 1)), nodes, values)
    except ConversionError as error:
        return error.why
    for each, right in zip(model.graph.output, wanted, strict=False):
        value = found.get(each.name)
        if value is None:
            return "its output is a constant"
        answer = ordered(tf, value, plain(value.rank)).tensor.numpy()
        if answer.shape != right.shape:
            return f"shape {answer.shape} for {right.shape}"
        if not np.allclose(answer, right, rtol=case.rtol, atol=max(case.atol, 1e-6), equal_nan=True):
            return f"off by {np.nanmax(np.abs(answer - right)):.3g}"
    return ""


def main(out):
    warnings.simplefilter("ignore")  # NumPy's, of the infinities and overflows that ONNX's own cases hold
    found = {}
    for case in load_model_tests(kind="node"):
        model = case.model
        if is_ours(model):
            found[case.name] = [model.graph.node[0].op_type, outcome(case, model)]
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
