"""Any ONNX network as a list of operators, as a runtime runs it: batch norms folded, plain activations fused.

An operator without a counterpart here is named, and counts as the bytes that it moves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ofa_edge.cost import Operator, OperatorKind
from ofa_edge.errors import ConfigError
from ofa_edge.files import LARGEST_MODEL, read_regular

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]

_FUSED = {"Relu", "Clip"}  # run inside the operator in front of them
_FREE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Constant", "Shape"}
_FREE |= {"QuantizeLinear", "DequantizeLinear"}  # precision is the target's business
_MOVES = {"Concat", "Pad", "Transpose", "Slice", "Split", "Gather", "Expand", "DepthToSpace", "SpaceToDepth", "Resize"}
_POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "LRN"}
_BINARY = {"Add", "Sum", "Sub", "Mul", "Div", "Max", "Min"}
_UNARY = {"HardSigmoid", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Elu", "Softmax", "LogSoftmax"}
_UNARY |= {"BatchNormalization", "Exp", "Sqrt", "Erf", "Gelu", "Mish", "Softplus", "Abs", "Neg"}
_PLAIN: Mapping[OperatorKind, set[str]] = MappingProxyType(
    {"pool": _POOLS, "move": _MOVES, "h_swish": {"HardSwish"}, "scale": _UNARY}
)
_SIGMOIDS = {"HardSigmoid", "Sigmoid"}
_GATES = {"HardSigmoid", "Add", "Clip", "Relu", "Mul", "Div"}  # what a hard-swish is spelt with, gate side
_LONGEST_GATE = 8  # nodes; exporters take three or four


@dataclass(frozen=True)
class NamedOperator:
    """An operator of a file: the node's name and its ONNX type beside it."""

    name: str
    op: str
    operator: Operator
    known: bool = True


@dataclass(frozen=True)
class OnnxNetwork:
    """What one inference of an ONNX file runs, in order."""

    input_shape: Shape
    operators: tuple[NamedOperator, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """ONNX types without a counterpart here, each once."""
        return tuple(dict.fromkeys(item.op for item in self.operators if not item.known))


def read_operators(path: Path) -> OnnxNetwork:
    """Read an ONNX file of one image a call.

    Raises:
        ConfigError: no ONNX file, more than one image a call, nodes that wait for each other, or shapes that cannot be
            inferred.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(read_regular(path, LARGEST_MODEL))
        _one_image(model, path)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    except (OSError, ValueError, onnx.onnx_cpp2py_export.shape_inference.InferenceError) as error:
        raise _unreadable(path, str(error)) from error
    except Exception as error:  # protobuf's own classes, which differ between its versions
        if isinstance(error, ConfigError):
            raise
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    reader = _Reader(model.graph, path)
    operators = reader.read()
    if not operators:
        inside = ", ".join(sorted({node.op_type for node in model.graph.node} & {"If", "Loop", "Scan"}))
        why = f"its operators stand in the bodies of {inside}: which of them run is known only while running"
        raise _unreadable(path, why if inside else "it holds no operator")
    return OnnxNetwork(reader.shape(reader.input), operators)


def _unreadable(path: Path, why: str) -> ConfigError:
    first = why.strip().splitlines()[0] if why.strip() else "no reason given"
    return ConfigError(f"cannot read {path.name} as an ONNX network", f"{path}: {first}", "export the network again")


def _ordered(graph: "onnx.GraphProto", path: Path) -> "list[onnx.NodeProto]":
    """The nodes, each after those that it needs (Kahn, 1962); the file's own order where that will do."""
    makers = {output: number for number, node in enumerate(graph.node) for output in node.output if output}
    if any(not node.output or not node.output[0] for node in graph.node):
        raise _unreadable(path, "a node has no output")
    needs = [{makers[name] for name in node.input if name in makers} for node in graph.node]
    if all(not each or max(each) < number for number, each in enumerate(needs)):
        return list(graph.node)
    readers: dict[int, list[int]] = {}
    for number, each in enumerate(needs):
        for maker in each:
            readers.setdefault(maker, []).append(number)
    missing = [len(each) for each in needs]
    order = [number for number, count in enumerate(missing) if not count]
    for number in order:  # it grows meanwhile
        for reader in readers.get(number, ()):
            missing[reader] -= 1
            if not missing[reader]:
                order.append(reader)
    if len(order) < len(needs):
        stuck = next(number for number, count in enumerate(missing) if count)
        name = graph.node[stuck].name or f"#{stuck}"
        count = len(needs) - len(order)
        raise _unreadable(path, f"{count} nodes wait for each other in a circle, or behind one: '{name}'")
    return [graph.node[number] for number in order]


def _one_image(model: "onnx.ModelProto", path: Path) -> None:
    """Set a free batch size to 1; refuse another one."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in constants or (len(dims) < 2 and all(dim.dim_value for dim in dims)):
            continue  # a number or a few go in as they are
        if not dims[0].dim_value:
            dims[0].dim_value = 1
        shape = tuple(dim.dim_value for dim in dims)
        if shape[0] != 1 or min(shape) < 1:
            raise ConfigError(
                f"{path.name} takes an input of shape {shape}",
                f"'{value.name}': a prediction is for one image of fixed size (0 is a free size)",
                "export the network with batch 1 and a fixed height and width",
            )


class _Reader:
    def __init__(self, graph: "onnx.GraphProto", path: Path) -> None:
        self.graph, self.path = graph, path
        self.shapes: dict[str, Shape] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            # A free batch size inside the graph is one image as well.
            self.shapes[value.name] = tuple(1 if i == 0 and not dim else dim for i, dim in enumerate(dims))
        self.constants = {tensor.name for tensor in graph.initializer}
        self.shapes.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
        self.input = next((value.name for value in graph.input if value.name not in self.constants), "")
        self.nodes = _ordered(graph, path)
        self.maker: dict[str, onnx.NodeProto] = {}
        self.skipped: set[str] = set()  # outputs that another operator computes on its way

    def read(self) -> tuple[NamedOperator, ...]:
        if not self.input:
            raise _unreadable(self.path, "it has no input")
        for node in self.nodes:
            if node.op_type in ("Constant", "Shape") or all(not n or n in self.constants for n in node.input):
                self.constants.update(node.output)
            for output in node.output:
                self.maker[output] = node
        for node in self.nodes:
            if node.op_type == "Mul":
                self.skipped.update(self.hard_gate(node))
        found = []
        for number, node in enumerate(self.nodes):
            output = node.output[0]
            if output in self.constants or output in self.skipped or node.op_type in _FREE:
                continue
            item = self.one(node)
            if item is not None:
                operator, known = item
                found.append(NamedOperator(node.name or f"#{number}", node.op_type, operator, known))
        return tuple(found)

    def shape(self, name: str) -> Shape:
        shape = self.shapes.get(name)
        if shape is None or any(dim < 1 for dim in shape):
            raise ConfigError(
                f"{self.path.name}: the shape of '{name}' is not known",
                f"{self.path}: ONNX infers {shape}",
                "export the network with fixed shapes, or simplify it (onnxsim)",
            )
        return shape

    def map(self, name: str) -> tuple[int, int, int]:
        """Channels, height and width of a value."""
        shape = self.shape(name)
        if len(shape) == 4:
            return shape[1], shape[2], shape[3]
        if len(shape) == 3:  # tokens: the features come last
            return shape[2], shape[1], 1
        return prod(shape[1:]) if len(shape) > 1 else prod(shape), 1, 1

    def inputs(self, node: "onnx.NodeProto") -> list[str]:
        """The computed inputs."""
        return [name for name in node.input if name and name not in self.constants]

    def one(self, node: "onnx.NodeProto") -> tuple[Operator, bool] | None:
        """The operator that a node becomes, and whether it is known; None where it costs nothing by itself."""
        kind = node.op_type
        if kind == "Conv" or (kind in ("Gemm", "MatMul") and len(self.inputs(node)) == 1):
            return (self.convolution(node) if kind == "Conv" else self.dense(node)), True
        if kind in _FUSED or (kind == "BatchNormalization" and self.follows(node, "Conv", "Gemm", "MatMul")):
            return None
        if kind in _SIGMOIDS and self.map(node.output[0])[1:] == (1, 1):
            return None  # the gate of a squeeze: one value a channel, and no model counts it
        if kind in _BINARY:
            return self.binary(node)
        known = next((name for name, kinds in _PLAIN.items() if kind in kinds), None)
        return self.plain(known or "move", node), known is not None

    def follows(self, node: "onnx.NodeProto", *kinds: str) -> bool:
        names = self.inputs(node)
        return len(names) == 1 and names[0] in self.maker and self.maker[names[0]].op_type in kinds

    def binary(self, node: "onnx.NodeProto") -> tuple[Operator, bool] | None:
        names = self.inputs(node)
        if len(names) < 2:  # with a constant: a bias or a scale of what is in front, or an operator of its own
            return None if self.follows(node, "Conv", "Gemm", "MatMul") else (self.plain("scale", node), True)
        if self.hard_gate(node):
            return self.plain("h_swish", node), True
        whole = all(self.shape(name) == self.shape(node.output[0]) for name in names)
        return self.plain("add" if whole else "scale", node), True

    def hard_gate(self, node: "onnx.NodeProto") -> tuple[str, ...]:
        """Where a product is x times a hard gate of x itself (hard-swish spelt out): the values of the gate."""
        names = self.inputs(node)
        for gate, value in (names[::-1], names) if len(names) == 2 else ():
            chain: list[str] = []
            clipped = False
            while len(chain) < _LONGEST_GATE and self._is_gate(gate) and gate != value:
                chain.append(gate)
                clipped |= self.maker[gate].op_type in ("Clip", "HardSigmoid", "Relu")
                before = self.inputs(self.maker[gate])
                if len(before) != 1:
                    break
                gate = before[0]  # noqa: PLW2901 - one step up the chain
            if chain and clipped and gate == value:
                return tuple(chain)
        return ()

    def _is_gate(self, name: str) -> bool:
        return name in self.maker and self.maker[name].op_type in _GATES

    def plain(self, kind: OperatorKind, node: "onnx.NodeProto") -> Operator:
        names = self.inputs(node) or [node.output[0]]
        largest = max(names, key=lambda name: prod(self.shape(name)))
        channels, height, width = self.map(largest)
        out_channels, out_height, out_width = self.map(node.output[0])
        return Operator(kind, channels, out_channels, height, out_height, in_width=width, out_width=out_width)

    def dense(self, node: "onnx.NodeProto") -> Operator:
        name = self.inputs(node)[0]
        out = self.shape(node.output[0])
        shape = self.shape(name)
        if not shape or not out:
            raise _unreadable(self.path, f"{node.op_type} '{node.name}' takes {list(shape)} and gives {list(out)}")
        positions = prod(out[:-1])
        return Operator("dense", shape[-1], out[-1], positions, positions, in_width=1, out_width=1)

    def attributes(self, node: "onnx.NodeProto") -> Mapping[str, Any]:
        """By name; of the types that the operator's own schema says."""
        import onnx

        read: Callable[[Any], Any] = onnx.helper.get_attribute_value
        known: Mapping[str, Any] = onnx.defs.get_schema(node.op_type).attributes
        for each in node.attribute:
            if each.name not in known or known[each.name].type.value != each.type:
                raise _unreadable(self.path, f"{node.op_type} '{node.name}': its attribute '{each.name}' is none of it")
        return {each.name: read(each) for each in node.attribute}

    def convolution(self, node: "onnx.NodeProto") -> Operator:
        facts = self.attributes(node)
        channels, height, width = self.map(node.input[0])
        out_channels, out_height, out_width = self.map(node.output[0])
        kernel = self.shape(node.input[1])[2:]
        groups, strides = int(facts.get("group", 1)), tuple(facts.get("strides", (1,)))
        if not 1 <= len(kernel) <= 3 or groups < 1 or channels % groups or not strides or min(strides) < 1:
            why = f"Conv '{node.name}': kernel {list(kernel)}, strides {list(strides)}, group {groups} of {channels}"
            raise _unreadable(self.path, f"{why} channels")
        depthwise = groups == channels > 1
        kind: OperatorKind = "depthwise" if depthwise else "pointwise" if prod(kernel) == 1 else "conv"
        return Operator(
            kind,
            channels,
            out_channels,
            height,
            out_height,
            kernel[0],
            strides[0],
            in_width=width,
            out_width=out_width,
            kernel_width=prod(kernel[1:]),
            groups=1 if depthwise else groups,
        )
