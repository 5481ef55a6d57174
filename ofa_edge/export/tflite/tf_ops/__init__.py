"""The map from ONNX operators to TensorFlow: one small function each. Maps are NHWC on TensorFlow's side.

A network built in NHWC throughout needs no transposition, and NHWC is what TFLite's kernels are written for. What is
outside the map is an error that names the node. To add an operator: write its function, put it into `BUILDERS`, and add
it to the test that compares the whole map with ONNX Runtime.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType, ModuleType
from typing import Any

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.tflite.tf_ops import convolutions, elementwise, pooling, products, shapes
from ofa_edge.export.tflite.tf_ops.elementwise import binary, unary, variadic
from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered, plain

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Abs": unary(lambda tf, x: tf.abs(x)),
        "Add": binary(lambda _, left, right: left + right),
        "AveragePool": pooling.average_pool,
        "BatchNormalization": products.batch_normalization,
        "Cast": elementwise.cast,
        "Clip": elementwise.clip,
        "Concat": shapes.concat,
        "Conv": convolutions.conv,
        "ConvTranspose": convolutions.conv_transpose,
        "DepthToSpace": shapes.depth_to_space,
        "Div": binary(lambda _, left, right: left / right),
        "Dropout": elementwise.identity,
        "Elu": elementwise.elu,
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
        "HardSigmoid": elementwise.hard_sigmoid,
        "HardSwish": elementwise.hard_swish,
        "Identity": elementwise.identity,
        "InstanceNormalization": products.instance_normalization,
        "LayerNormalization": products.layer_normalization,
        "LeakyRelu": elementwise.leaky_relu,
        "Log": unary(lambda tf, x: tf.math.log(x)),
        "MatMul": products.matmul,
        "Max": variadic(lambda tf, left, right: tf.maximum(left, right)),
        "MaxPool": pooling.max_pool,
        "Min": variadic(lambda tf, left, right: tf.minimum(left, right)),
        "Mul": binary(lambda _, left, right: left * right),
        "Neg": unary(lambda tf, x: tf.negative(x)),
        "PRelu": elementwise.prelu,
        "Pad": shapes.pad,
        "Pow": elementwise.power,
        "Reciprocal": unary(lambda _, x: 1.0 / x),
        "ReduceL2": shapes.reduce_l2,
        "ReduceMax": shapes.reduction("reduce_max"),
        "ReduceMean": shapes.reduction("reduce_mean"),
        "ReduceMin": shapes.reduction("reduce_min"),
        "ReduceSum": shapes.reduction("reduce_sum"),
        "Relu": unary(lambda tf, x: tf.nn.relu(x)),
        "Reshape": shapes.reshape,
        "Resize": shapes.resize,
        "Sigmoid": unary(lambda tf, x: tf.sigmoid(x)),
        "Slice": shapes.slice_,
        "Softmax": products.softmax,
        "SpaceToDepth": shapes.space_to_depth,
        "Sqrt": unary(lambda tf, x: tf.sqrt(x)),
        "Squeeze": shapes.squeeze,
        "Sub": binary(lambda _, left, right: left - right),
        "Tanh": unary(lambda tf, x: tf.tanh(x)),
        "Transpose": shapes.transpose,
        "Unsqueeze": shapes.unsqueeze,
        "Upsample": shapes.resize,
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


def build(tf: ModuleType, graph: Graph, x: Any, named: bool = False) -> Any:
    """Build the graph's operators on `x`, a tensor [1, H, W, C]; return the output's tensor in ONNX's own order.

    `named`: what is made of the graph's node 7 has a name that begins with "n7/".
    """
    values = {graph.input: Value(x, IMAGE)}
    sources = {node.output: node for node in graph.nodes}
    for place, node in enumerate(graph.nodes):
        args = tuple(values[name] if name in values else graph.constant(name) for name in node.inputs)
        with tf.name_scope(f"n{place}") if named else nullcontext():
            values[node.output] = BUILDERS[node.op](Site(tf, node, args, sources.get(node.inputs[0])))
    found = values[graph.output]
    return ordered(tf, found, plain(found.rank)).tensor
