"""The map from ONNX operators to TensorFlow: one small function each. Maps are NHWC on TensorFlow's side.

A network built in NHWC throughout needs no transposition, and NHWC is what TFLite's kernels are written for. What is
outside the map is an error that names the node. To add an operator: write its function, put it into `BUILDERS`, and add
it to the test that compares the whole map with ONNX Runtime.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.tf_ops import convolutions, elementwise, pooling, products, resizing, shapes, transposed
from ofa_edge.export.tflite.tf_ops.elementwise import binary, unary, variadic
from ofa_edge.export.tflite.tf_ops.lines import of_lines_too
from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Axes, Value, ordered, plain
from ofa_edge.export.tflite.tf_ops.volumes import (
    conv_of_volumes_too,
    pool_of_volumes_too,
    transposed_of_volumes_too,
)

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Abs": unary(lambda tf, x: tf.abs(x)),
        "Add": binary(lambda _, left, right: left + right),
        "AveragePool": pool_of_volumes_too(of_lines_too(pooling.average_pool)),
        "BatchNormalization": products.batch_normalization,
        "Cast": elementwise.cast,
        "Ceil": unary(lambda tf, x: tf.math.ceil(x)),
        "Celu": elementwise.celu,
        "Clip": elementwise.clip,
        "Concat": shapes.concat,
        "Conv": conv_of_volumes_too(of_lines_too(convolutions.conv)),
        "ConvTranspose": transposed_of_volumes_too(of_lines_too(transposed.conv_transpose)),
        "DepthToSpace": shapes.depth_to_space,
        "Div": binary(lambda _, left, right: left / right),
        "Dropout": elementwise.dropout,
        "Einsum": products.einsum,
        "Elu": elementwise.elu,
        "Equal": binary(lambda tf, left, right: tf.equal(left, right)),
        "Erf": elementwise.erf,
        "Exp": unary(lambda tf, x: tf.exp(x)),
        "Expand": shapes.expand,
        "Flatten": shapes.flatten,
        "Floor": unary(lambda tf, x: tf.floor(x)),
        "Gather": shapes.gather,
        "Gelu": elementwise.gelu,
        "Gemm": products.gemm,
        "GlobalAveragePool": pooling.global_average_pool,
        "GlobalMaxPool": pooling.global_max_pool,
        "GroupNormalization": products.group_normalization,
        "HardSigmoid": elementwise.hard_sigmoid,
        "HardSwish": elementwise.hard_swish,
        "Identity": elementwise.identity,
        "InstanceNormalization": products.instance_normalization,
        "LayerNormalization": products.layer_normalization,
        "LeakyRelu": elementwise.leaky_relu,
        "Log": unary(lambda tf, x: tf.math.log(x)),
        "LogSoftmax": products.over_last("log_softmax"),
        "MatMul": products.matmul,
        "Max": variadic(lambda tf, left, right: tf.maximum(left, right)),
        "MaxPool": pool_of_volumes_too(of_lines_too(pooling.max_pool)),
        "Mean": elementwise.mean,
        "Min": variadic(lambda tf, left, right: tf.minimum(left, right)),
        "Mish": unary(lambda tf, x: x * tf.tanh(elementwise.softplus(tf, x))),
        "Mul": binary(lambda _, left, right: left * right),
        "Neg": unary(lambda _, x: x * np.float32(-1)),
        "PRelu": elementwise.prelu,
        "Pad": shapes.pad,
        "Pow": elementwise.power,
        "Reciprocal": unary(lambda _, x: 1.0 / x),
        "ReduceL1": shapes.reduction_of(lambda tf, x: tf.abs(x), "reduce_sum", lambda _, y: y),
        "ReduceL2": shapes.reduction_of(lambda tf, x: tf.square(x), "reduce_sum", lambda tf, y: tf.sqrt(y)),
        "ReduceLogSum": shapes.reduction_of(lambda _, x: x, "reduce_sum", lambda tf, y: tf.math.log(y)),
        "ReduceMax": shapes.reduction("reduce_max"),
        "ReduceMean": shapes.reduction("reduce_mean"),
        "ReduceMin": shapes.reduction("reduce_min"),
        "ReduceProd": shapes.reduction("reduce_prod"),
        "ReduceSum": shapes.reduction("reduce_sum"),
        "ReduceSumSquare": shapes.reduction_of(lambda tf, x: tf.square(x), "reduce_sum", lambda _, y: y),
        "Relu": unary(lambda tf, x: tf.nn.relu(x)),
        "Reshape": shapes.reshape,
        "Resize": resizing.resize,
        "ScatterND": shapes.scatter_nd,
        "Selu": elementwise.selu,
        "Sigmoid": unary(lambda tf, x: tf.sigmoid(x)),
        "Sign": unary(lambda tf, x: tf.sign(x)),
        "Slice": shapes.slice_,
        "Softmax": products.over_last("softmax"),
        "Softplus": unary(elementwise.softplus),
        "Softsign": unary(lambda tf, x: x / (1.0 + tf.abs(x))),
        "SpaceToDepth": shapes.space_to_depth,
        "Sqrt": unary(lambda tf, x: tf.sqrt(x)),
        "Squeeze": shapes.squeeze,
        "Sub": binary(lambda _, left, right: left - right),
        "Sum": variadic(lambda _, left, right: left + right),
        "Swish": elementwise.swish,
        "Tanh": unary(lambda tf, x: tf.tanh(x)),
        "Tile": shapes.tile,
        "Transpose": shapes.transpose,
        "Unsqueeze": shapes.unsqueeze,
        "Upsample": resizing.resize,
        "Where": elementwise.where,
    }
)


def check_operators(graph: Graph) -> None:
    """Refuse a graph with an operator outside the map, before any work.

    Raises:
        ConversionError: naming the first such node and all such operators.
    """
    outside = [node for node in graph.nodes if node.op not in BUILDERS]
    if outside:
        operators = ", ".join(sorted({node.op for node in outside}))
        raise outside[0].refused(
            f"outside the map to TensorFlow: {operators}; the map holds {', '.join(sorted(BUILDERS))}",
            "write the network without it, or add a function for it to ofa_edge/export/tflite/tf_ops",
        )


def axes_of(shape: Sequence[int]) -> Axes:
    """How an input of that shape goes in: [1, C, H, W] as [1, H, W, C], any other as it is."""
    return IMAGE if len(shape) == 4 else plain(len(shape))


def build(tf: ModuleType, graph: Graph, inputs: Sequence[Any], named: bool = False) -> dict[str, Any]:
    """Build the graph's operators on its inputs, laid out by `axes_of`; return its outputs, in ONNX's own order.

    The output of a graph that has one is called `logits`; several are numbered, `output_000` being the first.

    `named`: what is made of the graph's node 7 has a name that begins with "n7/".
    """
    values = build_nodes(tf, graph, graph.nodes, given_values(graph, inputs), named)
    found = [values[name] for name in graph.outputs]
    tensors = [ordered(tf, each, plain(each.rank)).tensor for each in found]
    if len(tensors) == 1:
        return {"logits": tensors[0]}
    return {f"output_{place:03}": tf.identity(tensor) for place, tensor in enumerate(tensors)}


def build_all(tf: ModuleType, graph: Graph, inputs: Sequence[Any]) -> dict[str, Value]:
    """As `build`, with each value of the graph by its name."""
    return build_nodes(tf, graph, graph.nodes, given_values(graph, inputs))


def given_values(graph: Graph, inputs: Sequence[Any]) -> dict[str, Value]:
    """The inputs' tensors, by name."""
    return {name: Value(each, axes_of(shape)) for (name, shape), each in zip(graph.inputs.items(), inputs, strict=True)}


def build_nodes(
    tf: ModuleType, graph: Graph, nodes: Iterable[Node], given: Mapping[str, Value], named: bool = False
) -> dict[str, Value]:
    """Build some of a graph's nodes on given values; those and what the nodes give, by name. `named`: see `build`."""
    values = dict(given)
    sources = {node.output: node for node in graph.nodes}
    for place, node in enumerate(nodes):
        args = tuple(values[name] if name in values else graph.constant(name) for name in node.inputs)
        with tf.name_scope(f"n{place}") if named else nullcontext():
            values[node.output] = build_node(tf, node, args, sources.get(node.inputs[0]))
    return values


def build_node(
    tf: ModuleType, node: Node, args: tuple[Value | NDArray[Any] | None, ...], source: Node | None = None
) -> Value:
    """Build one node on its inputs; `source` computes the first. Raises NodeRefusedError for whatever stops it."""
    builder = BUILDERS.get(node.op)
    if builder is None:
        raise node.refused(
            "it is outside the map to TensorFlow",
            "write the network without it, or add a function for it to ofa_edge/export/tflite/tf_ops",
        )
    try:
        return builder(Site(tf, node, args, source))
    except ConversionError:
        raise
    except Exception as error:  # whatever TensorFlow raises over a form that nobody thought of
        words = " ".join(str(error).split())
        raise node.refused(
            f"TensorFlow does not build it so: {type(error).__name__}: {words}",
            "write it otherwise, or extend its function in ofa_edge/export/tflite/tf_ops",
        ) from error
