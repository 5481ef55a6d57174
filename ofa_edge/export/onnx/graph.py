"""A network between ONNX and TensorFlow: a list of nodes in order, and the constants they use.

Rewrites (see `rewrites`) take one such graph and give another; `tf_ops` builds TensorFlow operators from it. Maps have
ONNX's layout here, [1, C, H, W]; only `tf_ops` knows of NHWC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Node:
    """One operator with one output. An optional input that is left out is the empty string, as in ONNX."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def refused(self, why: str, hint: str) -> ConversionError:
        """The error that says this node cannot be converted."""
        return ConversionError(f"cannot convert node '{self.name}', operator {self.op}", why, hint)


@dataclass(frozen=True)
class Graph:
    """A network with one input [1, C, H, W] and one output.

    Attributes:
        nodes: in an order in which each runs after those it needs.
        constants: weights by name.
        input, output: names.
        input_shape: [1, C, H, W].
        sizes: height and width of each map, by name, as far as ONNX can infer them.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input: str
    output: str
    input_shape: tuple[int, int, int, int]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The constant of that name, or None where the name is a computed value or empty."""
        return self.constants.get(name)

    def uses(self) -> dict[str, int]:
        """How often each value is read, the graph's own output counted."""
        counts = dict.fromkeys([self.output], 1)
        for name in (name for node in self.nodes for name in node.inputs):
            counts[name] = counts.get(name, 0) + 1
        return counts


def is_plain_depthwise(node: Node, weight: NDArray[Any]) -> bool:
    """Whether a convolution is depthwise with an odd, undilated kernel, padded by half: weight [C, 1, odd, odd]."""
    channels, depth, height, width = weight.shape
    return (
        node.attributes.get("group", 1) == channels
        and depth == 1
        and height % 2 == width % 2 == 1
        and list(node.attributes.get("pads", ())) == [height // 2, width // 2] * 2
        and list(node.attributes.get("dilations", (1, 1))) == [1, 1]
    )


def read_graph(path: Path) -> Graph:
    """Read an ONNX file of one input and one output, both of fixed shape.

    Raises:
        ConversionError: the file is no ONNX model, is not of that form, or a node has several outputs.
    """
    import onnx

    try:
        onnx.checker.check_model(path)
        model = onnx.load(path)
    except onnx.checker.ValidationError as error:
        raise ConversionError(
            f"{path.name} is not a valid ONNX model",
            str(error).strip().splitlines()[0],
            "export the network again",
        ) from error
    proto = model.graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.initializer}
    nodes = []
    for number, each in enumerate(proto.node):
        node = _node(each, number)
        if node.op == "Constant":
            constants[node.output] = _constant_value(node)
        elif node.op == "Identity" and node.inputs[0] in constants:
            constants[node.output] = constants[node.inputs[0]]
        elif node.op == "Clip" and {"min", "max"} & node.attributes.keys():
            nodes.append(_newer_clip(node, constants))
        else:
            nodes.append(node)
    inputs = [value for value in proto.input if value.name not in constants]
    if len(inputs) != 1 or len(proto.output) != 1:
        raise ConversionError(
            f"{path.name} has {len(inputs)} inputs and {len(proto.output)} outputs",
            "an artifact takes one image and gives one row of logits",
            "export the network with one input and one output",
        )
    name, shape = inputs[0].name, _shape(inputs[0], path)
    sizes = {name: (shape[2], shape[3]), **_sizes(model)}
    return Graph(tuple(nodes), constants, name, proto.output[0].name, shape, sizes)


def _sizes(model: "onnx.ModelProto") -> dict[str, tuple[int, int]]:
    """Height and width of the inner values of four dimensions, both known."""
    import onnx

    found = {}
    for value in onnx.shape_inference.infer_shapes(model).graph.value_info:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(dims) == 4 and min(dims[2:]) > 0:
            found[value.name] = (dims[2], dims[3])
    return found


def _node(proto: "onnx.NodeProto", number: int) -> Node:
    import onnx

    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute}
    outputs = [name for name in proto.output if name]
    node = Node(proto.op_type, proto.name or f"#{number}", tuple(proto.input), outputs[0], attributes)
    if len(outputs) > 1:
        raise node.refused(
            f"it has {len(outputs)} outputs, the map to TensorFlow knows operators of one",
            "write the network without it, or extend ofa_edge/export/onnx/graph.py",
        )
    return node


def _newer_clip(node: Node, constants: dict[str, NDArray[Any]]) -> Node:
    """A Clip of opset 10 or older, which has its bounds as attributes, with its bounds as inputs."""
    names = []
    for bound in ("min", "max"):
        given = node.attributes.get(bound)
        names.append("" if given is None else f"{node.output}/{bound}")
        if given is not None:
            constants[names[-1]] = np.asarray(given, np.float32)
    return replace(node, inputs=(node.inputs[0], *names), attributes={})


def _constant_value(node: Node) -> NDArray[Any]:
    import onnx

    value = next(iter(node.attributes.values()))
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _shape(value: "onnx.ValueInfoProto", path: Path) -> tuple[int, int, int, int]:
    dims = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    if len(dims) != 4 or dims[0] != 1 or min(dims) < 1:
        raise ConversionError(
            f"{path.name} takes an input of shape {dims}",
            f"'{value.name}' must be one image of fixed size, [1, channels, height, width] (0 is a dynamic size)",
            "export the network with a fixed input shape and batch 1",
        )
    batch, channels, height, width = dims
    return batch, channels, height, width
