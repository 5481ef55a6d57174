"""The process that tries nodes: `python -m ofa_edge.export.tflite.trial_worker ONNX [ONNX ...]`; see `trial`.

One line of JSON on stdout, a list of what became of each file:

    [{"refused": [{"node": "n", "op": "Sin", "why": "...", "hint": "...", "mendable": false}], "untried": ["m"]}]
"""

import json
import sys
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import read_nodes
from ofa_edge.export.onnx.load import COUNTS_BELOW, load_model
from ofa_edge.export.onnx.nodes import Node, NodeRefusedError
from ofa_edge.export.onnx.recurrent import RECURRENT
from ofa_edge.export.onnx.sizes import by_values
from ofa_edge.export.tflite.tf_ops import BUILDERS, build_node
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, plain

if TYPE_CHECKING:
    import onnx


def main(arguments: list[str]) -> int:
    """See the module."""
    import tensorflow as tf

    found = [_tried(tf, load_model(Path(each), weights=False).model) for each in arguments]
    print(json.dumps(found))
    return 0


@dataclass
class _Walk:
    """One walk over a file's nodes.

    Attributes:
        known: shapes of floats, as far as ONNX infers them whole.
        values: what was built, or stands for what was not.
        alike: what came of each kind of node, by all that it depends on: networks repeat themselves.
    """

    tf: ModuleType
    constants: Mapping[str, NDArray[Any]]
    known: Mapping[str, tuple[int, ...]]
    values: dict[str, Value] = field(default_factory=dict)
    sources: dict[str, Node] = field(default_factory=dict)
    alike: dict[Hashable, Value] = field(default_factory=dict)
    refused: list[NodeRefusedError] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)

    def stand_in(self, name: str) -> None:
        """A float of the shape that ONNX infers in a value's place; nothing where that is not known."""
        if name in self.known:
            shape = self.known[name]
            axes = IMAGE if len(shape) == 4 else plain(len(shape))
            tensor = self.tf.compat.v1.placeholder(self.tf.float32, [shape[axis] for axis in axes])
            self.values[name] = Value(tensor, axes)

    def visit(self, node: Node) -> None:
        """Build a node, or note why not."""
        there = all(not name or name in self.values or name in self.constants for name in node.inputs)
        if node.op in BUILDERS and not there:
            self.untried.append(node.name)
            self.stand_in(node.output)
            return
        args = tuple(self.values[name] if name in self.values else self.constants.get(name) for name in node.inputs)
        source = self.sources.get(node.inputs[0]) if node.inputs else None
        kind = (node.op, repr(node.attributes), source and source.op, *map(_kind, args))
        try:
            if kind not in self.alike:
                self.alike[kind] = build_node(self.tf, node, args, source)
            self.values[node.output] = self.alike[kind]
            self.sources[node.output] = node
        except NodeRefusedError as error:
            self.refused.append(error)
            self.stand_in(node.output)


def _kind(arg: Value | NDArray[Any] | None) -> Hashable:
    """All of an input that decides whether a node is built: of large weights only the shape."""
    if isinstance(arg, Value):
        return arg.axes, tuple(arg.tensor.shape), arg.tensor.dtype.name
    if arg is None:
        return None
    return arg.shape, arg.dtype.str, arg.tobytes() if arg.nbytes <= COUNTS_BELOW else None


def _tried(tf: ModuleType, model: "onnx.ModelProto") -> dict[str, Any]:
    known = _known(model)
    refused: list[NodeRefusedError] = []
    nodes, constants = read_nodes(model, known, refused.append)
    with tf.Graph().as_default():
        walk = _Walk(tf, constants, known)
        for name in (*(each.name for each in model.graph.input), *_outputs(model, refused)):
            walk.stand_in(name)
        for node in nodes:
            walk.visit(node)
    valued = by_values(model)
    return {
        "refused": [
            {
                "node": each.node.name,
                "op": each.node.op,
                "why": each.why,
                "hint": each.hint,
                "mendable": _waits(each.node, valued, known, constants),
            }
            for each in (*refused, *walk.refused)
        ],
        "untried": walk.untried,
    }


def _waits(node: Node, valued: Collection[str], known: Collection[str], constants: Collection[str]) -> bool:
    """Whether a refused node only computes sizes, or reads some that are not known: simplifying may mend it."""
    if node.output not in valued:
        return True
    if node.op == "If":
        return node.inputs[0] not in valued
    if node.op in ("Split", *RECURRENT):
        return node.inputs[0] not in known
    return node.op in BUILDERS and any(name and name not in valued and name not in constants for name in node.inputs)


def _outputs(model: "onnx.ModelProto", refused: list[NodeRefusedError]) -> Iterator[str]:
    """All outputs of the nodes that were not read."""
    first = {error.node.output for error in refused}
    for node in model.graph.node:
        if first.intersection(node.output):
            yield from node.output


def _known(model: "onnx.ModelProto") -> dict[str, tuple[int, ...]]:
    """The shape of each value of floats whose sizes can be inferred; a free batch is 1."""
    import onnx

    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims and dims[0].dim_value < 1:
            dims[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
    found = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        shape = tuple(dim.dim_value for dim in kind.shape.dim)
        if kind.HasField("shape") and kind.elem_type in floats and min(shape, default=1) > 0:
            found[value.name] = shape
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
