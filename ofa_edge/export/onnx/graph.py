"""A network between ONNX and TensorFlow: a list of nodes in order, and the constants they use.

Rewrites (see `rewrites`) take one such graph and give another; `tf_ops` builds TensorFlow operators from it. Maps have
ONNX's layout here, [1, C, H, W]; only `tf_ops` knows of NHWC.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError, ModelFileError
from ofa_edge.export.onnx.folded import folded
from ofa_edge.export.onnx.load import array_of, load_model
from ofa_edge.export.onnx.nodes import Node, NodeRefusedError
from ofa_edge.export.onnx.recurrent import RECURRENT, unrolled

if TYPE_CHECKING:
    import onnx


def input_cast(name: str) -> str:
    """Name of the node that brings a given network's input of whole numbers, given in floats, back to its own type."""
    return f"{name}/cast"


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        nodes: in an order in which each runs after those it needs.
        constants: weights by name.
        input, outputs: names; the first input's.
        input_shape: of the first input: of an image [1, C, H, W], of any other sample alone [1, ...].
        maps: channels, height and width of each map, by name, as far as ONNX can infer them.
        others: names and shapes of inputs behind the first.
        stand_ins: for values that a rewrite took away or scaled, what stands for them and a factor: value = factor *
            stand-in.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input: str
    outputs: tuple[str, ...]
    input_shape: tuple[int, ...]
    maps: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    stand_ins: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    others: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all inputs, in order, by name."""
        return {self.input: self.input_shape, **self.others}

    def constant(self, name: str) -> NDArray[Any] | None:
        """The constant of that name, or None where the name is a computed value or empty."""
        return self.constants.get(name)

    def uses(self) -> dict[str, int]:
        """How often each value is read, the graph's own outputs counted."""
        counts = dict.fromkeys(self.outputs, 1)
        for name in (name for node in self.nodes for name in node.inputs):
            counts[name] = counts.get(name, 0) + 1
        return counts

    def still_read(self) -> "Graph":
        """Without the nodes whose results nobody reads any more."""
        kept: list[Node] = []
        read = set(self.outputs)
        for node in reversed(self.nodes):
            if node.output in read:
                read.update(node.inputs)
                kept.append(node)
        return replace(self, nodes=tuple(reversed(kept)))


def original(name: str, known: Sequence[str]) -> str:
    """The node or value of a file that a rewrite's stands for: itself, or the longest with something behind a slash."""
    return max((each for each in known if name == each or name.startswith(f"{each}/")), key=len, default=name)


def is_plain_depthwise(node: Node, weight: NDArray[Any]) -> bool:
    """Whether a convolution is depthwise with an odd, undilated kernel, padded by half: weight [C, 1, odd, odd]."""
    if weight.ndim != 4:
        return False
    channels, depth, height, width = weight.shape
    return (
        node.attributes.get("group", 1) == channels
        and depth == 1
        and height % 2 == width % 2 == 1
        and list(node.attributes.get("pads", ())) == [height // 2, width // 2] * 2
        and list(node.attributes.get("dilations", (1, 1))) == [1, 1]
    )


def read_graph(path: Path) -> Graph:
    """Read an ONNX file of inputs of fixed shape.

    Raises:
        ConversionError: the file is no ONNX model, is not of that form, or several outputs of one node are used.
    """
    try:
        model = load_model(path).model
    except ModelFileError as error:
        raise ConversionError(error.what, error.why, error.hint) from error
    shapes = _shapes(model)
    nodes, constants = read_nodes(model, shapes)
    inputs, outputs = read_interface(model, constants, path.name)
    known = {each: dims for each, dims in {**shapes, **inputs}.items() if len(dims) == 4 and min(dims[1:]) > 0}
    maps = {each: (dims[1], dims[2], dims[3]) for each, dims in known.items()}
    (name, shape), *others = inputs.items()
    return Graph(nodes, constants, name, outputs, shape, maps, others=dict(others))


def _raised(error: NodeRefusedError) -> None:
    raise error


def read_nodes(
    model: "onnx.ModelProto",
    shapes: Mapping[str, tuple[int, ...]],
    refused: Callable[[NodeRefusedError], None] = _raised,
) -> tuple[tuple[Node, ...], dict[str, NDArray[Any]]]:
    """The nodes of a model with all of their constants apart.

    Args:
        model: with its weights; one whose bytes lie elsewhere stands as zeros, unless it counts something.
        shapes: of its values, as far as they are known; 0 where a size is not.
        refused: told of each node that cannot be read; it is left out.

    Returns:
        Nodes in the file's order, and constants by name: initializers, Constant nodes, and what is computed of those.
    """
    proto = model.graph
    read = {name for each in proto.node for name in each.input} | {each.name for each in proto.output}
    constants = {tensor.name: array_of(tensor) for tensor in proto.initializer}
    nodes: list[Node] = []
    for number, each in enumerate(proto.node):
        try:
            node = _node(each, number, read)
            if node.op == "Constant":
                constants[node.output] = _constant_value(node)
            elif (value := folded(model, each, constants)) is not None:
                constants[node.output] = value
            elif node.op == "Clip" and {"min", "max"} & node.attributes.keys():
                nodes.append(_newer_clip(node, constants))
            elif node.op == "Split":
                nodes += _slices(node, tuple(each.output), constants, shapes)
            elif node.op in RECURRENT and 0 not in shapes.get(node.inputs[0], (0,)):
                nodes += unrolled(node, tuple(each.output), constants, shapes[node.inputs[0]])
            else:
                nodes.append(node)
        except NodeRefusedError as error:
            refused(error)
    return tuple(nodes), constants


def read_interface(
    model: "onnx.ModelProto", constants: Collection[str], name: str
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """Shapes of a model's inputs by name, one alone [1, ...]; names of its outputs. Raises ConversionError."""
    proto = model.graph
    inputs = [value for value in proto.input if value.name not in constants]
    if not inputs or not proto.output:
        raise ConversionError(
            f"{name} has {len(inputs)} inputs and {len(proto.output)} outputs",
            "an artifact takes something and answers",
            "export the network with its inputs and outputs",
        )
    alone = len(inputs) == 1
    return {each.name: _fixed(each, name, alone=alone) for each in inputs}, tuple(each.name for each in proto.output)


def _shapes(model: "onnx.ModelProto") -> dict[str, tuple[int, ...]]:
    """Sizes of the values whose number of axes can be inferred; 0 where a size is not known."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def _node(proto: "onnx.NodeProto", number: int, read: Collection[str]) -> Node:
    import onnx

    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute}
    op = proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"
    output = proto.output[0] if proto.output else ""
    node = Node(op, proto.name or f"#{number}", tuple(proto.input), output, attributes)
    used = [name for name in proto.output[1:] if name in read]
    if used and node.op not in ("Split", *RECURRENT):
        raise node.refused(
            f"it has {1 + len(used)} outputs, the map to TensorFlow knows operators of one",
            "write the network without it, or extend ofa_edge/export/onnx/graph.py",
        )
    return node


def _slices(
    node: Node,
    outputs: tuple[str, ...],
    constants: dict[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
) -> list[Node]:
    """A Split as one Slice for each output."""
    shape, axis = shapes.get(node.inputs[0], ()), node.attributes.get("axis", 0)
    total = shape[axis] if shape else 0
    given = node.attributes.get("split")
    if len(node.inputs) > 1 and node.inputs[1]:
        given = constants.get(node.inputs[1])
    if given is None:
        if not total:
            raise node.refused("the size that it splits is not known", "run onnxsim over the model first")
        part = -(-total // len(outputs))  # the last one may be smaller
        given = [min(part, total - part * number) for number in range(len(outputs))]
    ends = np.cumsum(given)
    found = []
    for number, (name, end, size) in enumerate(zip(outputs, ends, given, strict=True)):
        inputs = [f"{node.output}/{number}/{what}" for what in ("start", "end", "axis")]
        for each, value in zip(inputs, (end - size, end, axis), strict=True):
            constants[each] = np.asarray([value], np.int64)
        found.append(Node("Slice", f"{node.name}/{number}", (node.inputs[0], *inputs), name))
    return found


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
    return array_of(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _fixed(value: "onnx.ValueInfoProto", name: str, *, alone: bool) -> tuple[int, ...]:
    """The shape of an input, of any number of axes: one alone has its batch first, one of several need not have any."""
    dims = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    if min(dims, default=1) < 1 or (alone and dims[:1] != (1,)):
        batch = ", one sample a call: [1, ...]" if alone else ""
        raise ConversionError(
            f"{name} takes an input of shape {dims}",
            f"'{value.name}' must be of fixed size{batch} (0 is a dynamic size)",
            "export the network with fixed input shapes and batch 1",
        )
    return dims
